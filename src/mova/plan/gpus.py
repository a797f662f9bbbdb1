"""Speeds and memories of GPUs, for plans. Two kinds of rates, never mixed: data sheets, and runs that others published.

Neither is a measurement of this project; those stand in `benchmarks/results/` with their command.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from mova.errors import ConfigError
from mova.files.json_file import shorten

# Share of the data sheet's rate to expect where nobody has published a run: 600 of 989.5 TFLOP/s, as on an H100.
USUAL_SHARE = 600 / 989.5
# What the joint forward reached on two AVX-512 cores in float32: benchmarks/results/growth_2core_cpu_202611.md.
CPU_TFLOPS_PER_CORE: Final = 0.08
MAX_MEMORY_GB: Final = 10_000
MAX_GPUS: Final = 4_096


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Attributes:
        name: as given to `mova plan --gpu`.
        memory_gb: in 10^9 bytes, from the data sheet.
        peak_tflops: dense bfloat16 with float32 accumulation, from the data sheet; None where only the memory is known.
        achieved_tflops: rate of a published run of the official release on this GPU, where there is one.
        achieved_in: description of that run.
    """

    name: str
    memory_gb: float
    peak_tflops: float | None
    achieved_tflops: float | None = None
    achieved_in: str = ""

    @property
    def rates(self) -> dict[str, float]:
        """Rates in TFLOP/s by what they stand for; the first one cannot be beaten. None without a known peak."""
        if self.peak_tflops is None:
            return {}
        expected = (
            {f"published run ({self.achieved_in})": self.achieved_tflops}
            if self.achieved_tflops
            else {f"assumed ({USUAL_SHARE:.0%} of the data sheet)": round(self.peak_tflops * USUAL_SHARE, 1)}
        )
        return {"data sheet (lower bound)": self.peak_tflops, **expected}


# The rates achieved follow from the seconds per step that the runs report and from the operations of a step.
GPUS: Mapping[str, Gpu] = {
    gpu.name: gpu
    for gpu in (
        Gpu("b200", 180, 2250),
        Gpu("h200", 141, 989.5, 371, "720p without FlashAttention 3, 164.7 s per step"),
        Gpu("h100", 80, 989.5, 615, "360p, 9.0 s per step"),
        Gpu("h100-pcie", 80, 756.5),
        Gpu("a100", 80, 312, 176, "360p, 31.4 s per step"),
        Gpu("a100-40gb", 40, 312),
        Gpu("mi300x", 192, 1307.4),
        Gpu("rtx-pro-6000", 96, 503.8),
        Gpu("rtx-6000-ada", 48, 364.2),
        Gpu("l40s", 48, 362),
        Gpu("rtx-a6000", 48, 154.8),
        Gpu("a40", 48, 149.7),
        Gpu("rtx-5090", 32, 209.5),
        Gpu("rtx-4090", 24, 165, 148, "360p with offload, 37.5 s per step"),
        Gpu("rtx-3090", 24, 71),
        Gpu("a10", 24, 125),
        Gpu("l4", 24, 121),
        Gpu("rtx-5080", 16, 112.6),
        Gpu("rtx-4080", 16, 97.5),
    )
}
# GPUs that people ask for and that cannot compute the towers: no bfloat16.
_WITHOUT_BFLOAT16 = ("v100", "t4", "p100", "p40", "rtx2080ti", "titanrtx")
# What vendors put around the name: "NVIDIA GeForce RTX 4090", "NVIDIA A100-SXM4-80GB", "AMD Instinct MI300X".
_DECORATION = re.compile(
    r"nvidia|geforce|tesla|amd|instinct|quadro|sxm\d?|hbm\d\w?|generation|blackwell|workstation|server|edition|nvl$"
)


def find_gpu(name: str) -> Gpu:
    """Look a GPU up by name, however it is spelt: "RTX 4090", "rtx4090" and "NVIDIA GeForce RTX 4090" are one.

    Raises:
        ConfigError: an unknown name; the text lists the known ones and names the nearest.
    """
    wanted = _key(name)
    found = _BY_KEY.get(wanted)
    if found is not None:
        return found
    known = ", ".join(GPUS)
    if wanted in _WITHOUT_BFLOAT16:
        raise ConfigError(
            f"gpu must be one that computes in bfloat16 ({known}), got {shorten(name)}, which does not; nearest is l4"
        )
    nearest = difflib.get_close_matches(wanted, _BY_KEY, n=1, cutoff=0.0)
    raise ConfigError(
        f"gpu must be one of {known}, got {shorten(name)}; nearest is {_BY_KEY[nearest[0]].name}, and any other is "
        "planned with --gpu-memory GB"
    )


def choose_gpus(name: str | None, memory_gb: float | None) -> Sequence[Gpu]:
    """Return the GPUs of a plan.

    Args:
        name: name of one GPU, see `find_gpu`; None takes those of the table.
        memory_gb: in 10^9 bytes, instead of that of the named GPU; without a name, a GPU of this memory whose speed is
            not known comes first, then those of the table that have as much.

    Raises:
        ConfigError: an unknown name, or a memory that no GPU has.
    """
    if memory_gb is not None and not (math.isfinite(memory_gb) and 0 < memory_gb <= MAX_MEMORY_GB):
        nearest = MAX_MEMORY_GB if memory_gb > MAX_MEMORY_GB else min(gpu.memory_gb for gpu in GPUS.values())
        raise ConfigError(
            f"gpu_memory must be more than 0 and at most {MAX_MEMORY_GB} GB, got {memory_gb:g}; nearest is {nearest:g}"
        )
    if name is not None:
        gpu = find_gpu(name)
        return [gpu if memory_gb is None else replace(gpu, memory_gb=memory_gb)]
    if memory_gb is None:
        return list(GPUS.values())
    alike = [gpu for gpu in GPUS.values() if gpu.memory_gb == memory_gb]
    return [Gpu(f"any GPU with {memory_gb:g} GB", memory_gb, None), *alike]


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", _DECORATION.sub("", name.lower()))


def _spellings(gpu: Gpu) -> set[str]:
    key = _key(gpu.name)
    short = key.removeprefix("rtx")
    sized = {f"{spelt}{gpu.memory_gb:g}gb" for spelt in (key, short)}
    return {key, short, *sized}


_BY_KEY: Mapping[str, Gpu] = {spelling: gpu for gpu in reversed(tuple(GPUS.values())) for spelling in _spellings(gpu)}
