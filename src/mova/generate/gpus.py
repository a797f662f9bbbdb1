"""Speeds and memories of GPUs, for plans. Two kinds of rates, never mixed: data sheets, and runs that others published.

Neither is a measurement of this project; those stand in `benchmarks/results/` with their command.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mova.errors import ConfigError

# Share of the data sheet's rate to expect where nobody has published a run: 600 of 989.5 TFLOP/s, as on an H100.
USUAL_SHARE = 600 / 989.5


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Attributes:
        name: as given to `mova plan --gpu`.
        memory_gb: in 10^9 bytes, from the data sheet.
        peak_tflops: dense bfloat16 with float32 accumulation, from the data sheet.
        achieved_tflops: rate of a published run of the official release on this GPU, where there is one.
        achieved_in: that run.
    """

    name: str
    memory_gb: float
    peak_tflops: float
    achieved_tflops: float | None = None
    achieved_in: str = ""

    @property
    def rates(self) -> dict[str, float]:
        """Rates in TFLOP/s by what they stand for; the first one cannot be beaten."""
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
        Gpu("h200", 141, 989.5, 371, "720p without FlashAttention 3, 164.7 s per step"),
        Gpu("h100", 80, 989.5, 615, "360p, 9.0 s per step"),
        Gpu("a100", 80, 312, 176, "360p, 31.4 s per step"),
        Gpu("l40s", 48, 362),
        Gpu("rtx-4090", 24, 165, 148, "360p with offload, 37.5 s per step"),
    )
}


def find_gpu(name: str) -> Gpu:
    """Look a GPU up by name.

    Raises:
        ConfigError: an unknown name; the text lists the known ones.
    """
    gpu = GPUS.get(name.lower())
    if gpu is None:
        raise ConfigError(f"gpu must be one of {', '.join(GPUS)}, got {name!r}")
    return gpu
