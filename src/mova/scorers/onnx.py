"""The one way to run an ONNX file: on the CPU with one thread, since processes, not threads, share the cores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import os

    from onnxruntime import InferenceSession

NUM_THREADS: Final = 1
"""Results do not depend on how many cores a machine has."""


def open_onnx(path: str | os.PathLike[str]) -> InferenceSession:
    """Return a session over a file.

    Raises:
        ImportError: onnxruntime is not installed.
        Exception: onnxruntime's own, where the file is not an ONNX model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = NUM_THREADS
    options.inter_op_num_threads = NUM_THREADS
    # Warnings of graph optimisation that a user can do nothing about.
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(Path(path)), options, providers=["CPUExecutionProvider"])
