"""In which dtype each part of a model computes: the one table, and what "auto" takes.

| part | GPU | CPU, float32 | CPU, bfloat16 |
| --- | --- | --- | --- |
| towers, bridge, text encoder | bfloat16 | float32 | bfloat16 |
| their norms, modulation and timestep embedding; latents, schedule | float32 | float32 | float32 |
| decoder of the video autoencoder | float32 | float32 | bfloat16 where the processor multiplies it, else float32 |
| its encoder, the audio autoencoder | float32 | float32 | float32 |

"auto" takes bfloat16 on a CPU where the processor multiplies it, the large weights are not quantised, and the model is
known to bear it: its `mova_defaults.json` says so (`bfloat16_on_cpu`, after a measurement such as
benchmarks/results/precision_mova-tiny_202611.md), or it has no such file, as the published models, which are stored in
bfloat16 and computed in it everywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import torch

from mova.device import auto_on_cpu, multiplies_bfloat16, warn_of_slow_bfloat16
from mova.errors import ConfigError
from mova.names import FLOAT32_NETWORKS


class DtypeWishes(TypedDict, total=False):
    """Options of `choose_dtypes` by name, for functions that pass them on."""

    dtype: torch.dtype | None
    precision: str | None
    holds: bool


@dataclass(frozen=True)
class Dtypes:
    """What is computed in; all that is not named here is float32.

    Attributes:
        towers: towers, bridge and text encoder, but for their float32 parts.
        decoding: the decoder of the video autoencoder.
    """

    towers: torch.dtype
    decoding: torch.dtype = torch.float32

    def of(self, network: str) -> torch.dtype:
        """Return the dtype of a network's weights, the video decoder aside."""
        return torch.float32 if network in FLOAT32_NETWORKS else self.towers


def choose_dtypes(
    device: torch.device,
    *,
    dtype: torch.dtype | None = None,
    precision: str | None = None,
    holds: bool = False,
) -> Dtypes:
    """Return what a model computes in.

    Args:
        device: that computes.
        dtype: of the towers where it was given as such; the autoencoders are float32 then.
        precision: one of `mova.checks.PRECISIONS`; None is bfloat16 on a GPU and float32 on any CPU.
        holds: whether "auto" may take bfloat16 on a CPU, see `mova.weights.locate.bears_bfloat16`.

    Raises:
        ConfigError: both a dtype and a precision, or an environment that names no precision.
    """
    if dtype is not None:
        if precision is not None:
            raise ConfigError(f"dtype and precision are one choice, got {dtype} and {precision}; give one of them")
        return Dtypes(dtype)
    is_cpu = device.type == "cpu"
    if precision == "auto" and is_cpu:
        precision = auto_on_cpu(holds=holds)
    elif precision == "bfloat16":
        warn_of_slow_bfloat16(device, "bfloat16", "precision")
    if precision in (None, "auto"):
        precision = "float32" if is_cpu else "bfloat16"
    if precision == "float32":
        return Dtypes(torch.float32)
    # Convolutions in bfloat16 without such instructions take many times as long, not three.
    return Dtypes(torch.bfloat16, torch.bfloat16 if is_cpu and multiplies_bfloat16() else torch.float32)


def name_of(dtype: torch.dtype) -> str:
    """Return a dtype as options and records name it."""
    return str(dtype).removeprefix("torch.")
