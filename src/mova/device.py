"""Which device computes where nobody says it, whether one that was asked for is there, and what "auto" computes in."""

from __future__ import annotations

import logging
import os
import platform
from typing import Final, Literal

import torch

from mova.checks import Precision, check_precision
from mova.errors import ConfigError
from mova.files.json_file import shorten

logger = logging.getLogger(__name__)

DEVICES = ("cpu", "cuda", "mps")

Compute = Precision
"""In which dtype matrix products are computed in mixed precision."""

Resolved = Literal["float32", "bfloat16"]
"""What is computed in, said by name."""

PRECISION_VARIABLE: Final = "MOVA_PRECISION"
"""Environment variable: what "auto" takes on a CPU."""

_SLOW: Final = (
    "%s bfloat16: this processor does not multiply bfloat16 (AVX512-BF16 or AMX would), a step takes about 2 to 3 "
    "times as long as with float32, which is nearest"
)
"""A forward of mova-tiny with AVX-512 and with AVX2 alone: benchmarks/results/precision_mova-tiny_202611.md."""


def choose_device(wanted: torch.device | str | int | None = None) -> torch.device:
    """Return the device that computes.

    Args:
        wanted: "cpu", "cuda", "cuda:1", "mps", a device, or the number of a GPU; None (or "auto") takes the first GPU
            where there is one that torch can use through CUDA, else the CPU, as the command does.

    Raises:
        ConfigError: a device of another kind, or one that is not there.
    """
    if wanted is None or wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except (RuntimeError, TypeError) as error:
        raise ConfigError(f"device must be one of {', '.join(DEVICES)}, got {shorten(wanted)}") from error
    if device.type not in DEVICES:
        raise ConfigError(f"device must be one of {', '.join(DEVICES)}, got {device}; nearest is cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device must be there, got {device} where torch finds {torch.cuda.device_count()} GPUs")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("device must be there, got mps where torch finds none; nearest is cpu")
    return device


def own_device(place: int, here: int) -> torch.device:
    """Return the device of a process: the GPU of its place on this machine, or the CPU where there is no GPU.

    Args:
        place: among the processes of this machine.
        here: processes of this machine, as far as is known.

    Raises:
        ConfigError: fewer GPUs than processes.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    present = torch.cuda.device_count()
    if here > present:
        raise ConfigError(f"gpus must be at most those of this machine, {present}; got {here}; nearest is {present}")
    torch.cuda.set_device(place)
    torch.cuda.init()
    return torch.device("cuda", place)


def multiplies_bfloat16() -> bool:
    """Return whether this processor and this PyTorch have products in bfloat16: AVX512-BF16, AMX, or those of ARM."""
    # The operator is missing from builds without oneDNN.
    if not torch.backends.mkldnn.is_available() or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    # oneDNN takes bfloat16 on every x86 processor with AVX-512 and computes in float32 on most. Those with AMX have
    # both.
    return not is_x86() or bool(torch.cpu._is_avx512_bf16_supported())


def is_x86() -> bool:
    """Return whether the processor is of Intel's or AMD's kind."""
    return platform.machine().lower() in ("x86_64", "amd64")


def usual_precision() -> Precision:
    """Return what "auto" takes on a CPU where the environment says it; else "auto".

    Raises:
        ConfigError: the environment names another.
    """
    return check_precision(os.environ.get(PRECISION_VARIABLE) or "auto", PRECISION_VARIABLE)


def auto_on_cpu(*, holds: bool) -> Resolved:
    """Return what "auto" takes on this processor: the one rule, of generating, of training and of encoding.

    Args:
        holds: whether what is computed is known to come out as well in bfloat16.

    Raises:
        ConfigError: as of `usual_precision`.
    """
    usual = usual_precision()
    if usual != "auto":
        return usual
    return "bfloat16" if holds and multiplies_bfloat16() else "float32"


def resolve_compute(device: torch.device, compute: Compute, *, holds: bool = False) -> Resolved:
    """Return in which dtype products are computed in mixed precision: bfloat16 on a GPU where nothing else is said.

    Args:
        device: that computes.
        compute: as asked for.
        holds: as of `auto_on_cpu`.

    Raises:
        ConfigError: as of `usual_precision`.
    """
    if compute != "auto":
        return compute
    if device.type == "cpu":
        return auto_on_cpu(holds=holds)
    return "bfloat16" if device.type == "cuda" else "float32"


def warn_of_slow_bfloat16(device: torch.device, resolved: Resolved, what: str) -> None:
    """Say that bfloat16 is slow where a processor without such instructions computes in it.

    Args:
        device: that computes.
        resolved: what it computes in.
        what: name of the setting.
    """
    if resolved == "bfloat16" and device.type == "cpu" and not multiplies_bfloat16():
        logger.warning(_SLOW, what)


def autocast(device: torch.device, compute: Compute) -> torch.autocast:
    """Return the mixed-precision region that a recipe asks for."""
    enabled = resolve_compute(device, compute) == "bfloat16"
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)
