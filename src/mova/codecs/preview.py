"""Small images straight from video latents, by a linear map: a look at a clip while it is still being made.

One image for each latent frame, in a few milliseconds, where the decoder takes seconds. The map is that of the model's
own autoencoder where the model has a file with one (benchmarks/fit_preview.py makes it), or that of the published
autoencoder. To be looked at are the clean latents that a step points to (`SamplingStep.clean`), not the noisy ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch.nn import functional

from mova.errors import CheckpointError, GeometryError
from mova.files.json_file import Fields, read_object
from mova.names import PREVIEW_FILE

_MOST_PIXELS, _MOST_REACH, _MOST_CHANNELS = 16, 3, 256
_MOST_BYTES = 2**22

# Of the autoencoder of Wan 2.1, which MOVA uses: mean of its normalised latents' first channels tells it from others,
# and red, green and blue of each channel for values in [-1, 1]. The figures are those of ComfyUI, which fitted them
# (comfy/latent_formats.py, class Wan21, latent_rgb_factors and latent_rgb_factors_bias).
_PUBLISHED_MEAN: Final = (-0.7571, -0.7089, -0.9113, 0.1075)
_PUBLISHED_RED: Final = (
    *(-0.1299, 0.0671, 0.3568, 0.0372, 0.0313, 0.0296, -0.3477, 0.0166),
    *(-0.0412, -0.1293, 0.0680, 0.0032, -0.1251, 0.0060, 0.3477, 0.1984),
)
_PUBLISHED_GREEN: Final = (
    *(-0.1692, 0.0406, 0.2548, 0.2344, 0.0189, -0.0956, -0.4059, 0.1902),
    *(0.0267, 0.0740, 0.3019, 0.0581, 0.0927, -0.0633, 0.2275, 0.0913),
)
_PUBLISHED_BLUE: Final = (
    *(0.2932, 0.0442, 0.1747, 0.1420, -0.0328, -0.0665, -0.2925, 0.1975),
    *(-0.1364, 0.1636, 0.1128, 0.0639, 0.1699, 0.0005, 0.2950, 0.1861),
)
_PUBLISHED_BIAS: Final = (-0.1835, -0.0868, -0.3360)


@dataclass(frozen=True, eq=False)
class Preview:
    """A linear map from video latents to small images.

    Attributes:
        weight: (3 * p * p, C, k, k) float32: for each of p x p pixels that a latent cell becomes, row by row, what the
            C channels of k x k cells around it add to red, green and blue in [-1, 1].
        bias: (3 * p * p,) float32.
        first: map of the first latent frame, which stands for one frame and not for several; None is this one.

    Raises:
        GeometryError: shapes that do not fit each other.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    first: Preview | None = None

    def __post_init__(self) -> None:
        shape, pixels = tuple(self.weight.shape), self.pixels_per_cell
        if self.first is not None and self.first.weight.shape != self.weight.shape:
            raise GeometryError(
                f"both maps of a preview must have one shape, got {tuple(self.first.weight.shape)}, {shape}"
            )
        is_map = len(shape) == 4 and shape[2] == shape[3] and shape[2] % 2 == 1
        if not is_map or pixels < 1 or tuple(self.bias.shape) != (3 * pixels**2,) or shape[0] != 3 * pixels**2:
            raise GeometryError(
                "a preview needs weights (3 * p * p, C, k, k) with an odd k, and (3 * p * p,) more, got "
                f"{shape} and {tuple(self.bias.shape)}"
            )

    @property
    def pixels_per_cell(self) -> int:
        """p: pixels of the image along each side of a latent cell."""
        return round((len(self.bias) / 3) ** 0.5) if self.bias.ndim else 0

    @property
    def channels(self) -> int:
        """C: channels of the latents."""
        return int(self.weight.shape[1])

    @torch.no_grad()
    def __call__(self, latents: torch.Tensor) -> np.ndarray:
        """Return an image for each latent frame.

        Args:
            latents: (C, T, h, w) normalised, of one clip, on any device.

        Returns:
            (T, p * h, p * w, 3) uint8, RGB.

        Raises:
            GeometryError: another shape, or another number of channels.
        """
        if latents.ndim != 4 or latents.shape[0] != self.channels or 0 in latents.shape:
            raise GeometryError(
                f"latents of a preview must be ({self.channels}, T, h, w), one clip of the autoencoder that it is for, "
                f"got {tuple(latents.shape)}"
            )
        if self.first is not None:
            parts = [self.first(latents[:, :1]), *([self._images(latents[:, 1:])] if latents.shape[1] > 1 else [])]
            return np.concatenate(parts)
        return self._images(latents)

    def _images(self, latents: torch.Tensor) -> np.ndarray:
        weight, bias = self.weight.to(latents.device), self.bias.to(latents.device)
        reach = weight.shape[-1] // 2
        frames = latents.float().movedim(1, 0)
        # At the edge the nearest cells count twice: zeros would draw a frame around every image.
        padded = functional.pad(frames, (reach,) * 4, mode="replicate") if reach else frames
        small = functional.pixel_shuffle(functional.conv2d(padded, weight, bias), self.pixels_per_cell)
        # Latents of a run that went wrong may be anything.
        levels = small.nan_to_num(0.0, 1.0, -1.0).add(1).mul(127.5).round_().clamp_(0, 255)
        return levels.to(torch.uint8).movedim(1, -1).contiguous().cpu().numpy()

    @classmethod
    def for_model(cls, folder: Path) -> Preview | None:
        """Return the preview of a model; None where its autoencoder has none.

        Args:
            folder: of the model, in the published layout.

        Raises:
            CheckpointError: a file with a map that cannot be used.
        """
        own = folder / PREVIEW_FILE
        if own.is_file():
            return cls.read(own)
        config = folder / "video_vae" / "config.json"
        return published_preview() if config.is_file() and _is_published(config) else None

    @classmethod
    def read(cls, path: Path) -> Preview:
        """Read a map from a JSON file.

        Raises:
            CheckpointError: it is missing, or holds something else.
        """
        record = read_object(path, error=CheckpointError, most_bytes=_MOST_BYTES)
        first = cls._of(record.fields("first")) if "first" in record else None
        return replace(cls._of(record), first=first)

    @classmethod
    def _of(cls, record: Fields) -> Preview:
        channels = record.integer("channels", least=1, most=_MOST_CHANNELS)
        pixels = record.integer("pixels_per_cell", least=1, most=_MOST_PIXELS)
        reach = record.integer("reach", least=0, most=_MOST_REACH)
        shape = 3 * pixels**2, channels, 2 * reach + 1, 2 * reach + 1
        return cls(_numbers(record, "weight", shape), _numbers(record, "bias", shape[:1]))

    def record(self) -> dict[str, object]:
        """Return what `read` reads, as JSON values."""
        first = {} if self.first is None else {"first": self.first.record()}
        return first | {
            "channels": self.channels,
            "pixels_per_cell": self.pixels_per_cell,
            "reach": self.weight.shape[-1] // 2,
            "bias": [round(value, 4) for value in self.bias.tolist()],
            "weight": [round(value, 4) for value in self.weight.flatten().tolist()],
        }


def published_preview() -> Preview:
    """Return the preview of the published video autoencoder: one pixel for each latent cell."""
    colours = torch.tensor([_PUBLISHED_RED, _PUBLISHED_GREEN, _PUBLISHED_BLUE])
    return Preview(colours[:, :, None, None], torch.tensor(_PUBLISHED_BIAS))


def _is_published(config: Path) -> bool:
    record = read_object(config, error=CheckpointError)
    means = record.values.get("latents_mean")
    channels = len(_PUBLISHED_RED)
    return (
        record.values.get("z_dim") == channels
        and isinstance(means, list)
        and len(means) == channels
        and tuple(means[: len(_PUBLISHED_MEAN)]) == _PUBLISHED_MEAN
    )


def _numbers(record: Fields, key: str, shape: tuple[int, ...]) -> torch.Tensor:
    values = record.list(key)
    if len(values) != int(np.prod(shape)) or any(
        isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e6 for value in values
    ):
        raise CheckpointError(f"{record.where}: {key} must be {int(np.prod(shape))} numbers, got {len(values)} values")
    return torch.tensor(values, dtype=torch.float32).reshape(shape)
