"""The one way to run an ONNX file: on the CPU with one thread, since processes, not threads, share the cores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from onnxruntime import InferenceSession

NUM_THREADS: Final = 1
"""Results do not depend on how many cores a machine has."""


def open_onnx(path: str | os.PathLike[str], also: Sequence[str] = ()) -> InferenceSession:
    """Return a session over a file.

    Args:
        path: of the file; weights that lie beside it are found.
        also: inner results of its graph that the session gives after the file's own outputs.

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
    providers = ["CPUExecutionProvider"]
    if not also:
        return onnxruntime.InferenceSession(str(Path(path)), options, providers=providers)
    # The bytes have no place of their own from which files beside them could be found.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(Path(path).parent))
    return onnxruntime.InferenceSession(Path(path).read_bytes() + _outputs(also), options, providers=providers)


# Numbers of fields in the format's definition (onnx.proto): of a model, a graph, and a value.
_GRAPH, _OUTPUT, _NAME = 7, 12, 1


def _outputs(names: Sequence[str]) -> bytes:
    """Return what makes inner results outputs when it stands after a model: two parts of a message count as one."""
    return _field(_GRAPH, b"".join(_field(_OUTPUT, _field(_NAME, name.encode())) for name in names))


def _field(number: int, content: bytes) -> bytes:
    return _number(number << 3 | 2) + _number(len(content)) + content


def _number(value: int) -> bytes:
    """Return a whole number in groups of seven bits, the lowest first."""
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _number(rest) if rest else bytes([low])
