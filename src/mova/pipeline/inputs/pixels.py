"""Images, videos and audio as callers hold them in Python, to float tensors: ranges by type, layouts by shape.

    PIL image                   read as a file is (`mova.media.images.image_to_rgb`)
    uint8 array or tensor       [0, 255]
    uint16 array                [0, 65535]
    floating-point array        [0, 1], as diffusers has it
    floating-point tensor       [-1, 1] where any value is negative, else [0, 1], as diffusers decides it
    audio                       int16, int32 and uint8 by their full scale; floating point in [-1, 1]

Everything else is refused: other types by name, values outside their range, NaN and infinity.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from mova.errors import GeometryError
from mova.media.frames import Fit, fit_image, frames_to_float
from mova.media.images import image_to_rgb, over_white

# Rounding of a decoder's tanh and of halves; `mova.media.write` allows as much.
_TOLERANCE = 1e-3
_TENSOR_TYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
# (zero, full scale) of integer audio.
_AUDIO_SCALES = {"uint8": (128.0, 128.0), "int16": (0.0, 32_768.0), "int32": (0.0, 2_147_483_648.0)}


def describe(value: object) -> str:
    """Name a value in an error: its shape and type, or its class."""
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"{tuple(shape)} {getattr(value, 'dtype', '')}".strip()


def array_to_float(array: np.ndarray, size: tuple[int, int], name: str, fit: Fit = "crop") -> torch.Tensor:
    """Bring frames in an array to the size and range of the models.

    Args:
        array: (F, H, W, 3) or, with transparency that is laid over white, (F, H, W, 4); uint8, uint16, or floating
            point in [0, 1].
        size: (height, width) of the result.
        name: of the argument, for errors.
        fit: what is done with frames of another size, see `frames.fit_image`.

    Returns:
        (3, F, height, width) float32 in [-1, 1].

    Raises:
        GeometryError: another type, or values outside their range.
    """
    if array.dtype.kind == "f":
        check_range(float(array.min(initial=0)), float(array.max(initial=0)), (0.0, 1.0), f"a float {name} array")
        if array.shape[1:] == (*size, 3):
            unit = np.ascontiguousarray(np.moveaxis(array, -1, 0), dtype=np.float32).clip(0.0, 1.0)
            return torch.from_numpy(unit * np.float32(2.0) - np.float32(1.0))
        pixels = np.rint(np.clip(array, 0.0, 1.0) * 255.0).astype(np.uint8)
    elif array.dtype == np.uint16:
        pixels = np.rint(array.astype(np.float32) / np.float32(257.0)).astype(np.uint8)
    elif array.dtype == np.uint8:
        pixels = array
    else:
        raise GeometryError(f"{name} must be uint8, uint16 or floating point in [0, 1], got {describe(array)}")
    if pixels.shape[-1] == 4:
        pixels = over_white(pixels)
    return torch.from_numpy(frames_to_float(np.stack([fit_image(frame, size, fit) for frame in pixels])))


def tensor_to_float(tensor: torch.Tensor, size: tuple[int, int], name: str, fit: Fit = "crop") -> torch.Tensor:
    """Bring frames in a tensor to the size and range of the models.

    Args:
        tensor: (F, 3, H, W): uint8, which is scaled to `size`, or floating point of that size, in [-1, 1] where any
            value is negative, else in [0, 1].
        size: (height, width) of the result.
        name: of the argument, for errors.
        fit: what is done with uint8 of another size, see `frames.fit_image`.

    Returns:
        (3, F, height, width) float32 in [-1, 1].

    Raises:
        GeometryError: another type or size, or values outside their range.
    """
    if tensor.dtype == torch.uint8:
        return array_to_float(tensor.movedim(1, -1).cpu().numpy(), size, name, fit)
    if tensor.dtype not in _TENSOR_TYPES:
        raise GeometryError(f"{name} must be a tensor of uint8 or floating point, got {describe(tensor)}")
    if tuple(tensor.shape[2:]) != size:
        wanted = f"(..., 3, {size[0]}, {size[1]})"
        raise GeometryError(f"{name} must be {wanted} where it is a floating-point tensor, got {describe(tensor)}")
    pixels = tensor.float()
    least, most = (float(bound) for bound in torch.aminmax(pixels)) if pixels.numel() else (0.0, 0.0)
    check_range(least, most, (-1.0, 1.0), f"a float {name} tensor")
    if least >= 0.0:
        pixels = pixels.mul(2.0).sub(1.0)
    return pixels.clamp(-1.0, 1.0).movedim(1, 0)


def pil_to_float(image: Image.Image, size: tuple[int, int], name: str, fit: Fit = "crop") -> torch.Tensor:
    """Bring a PIL image to the size and range of the models: (3, 1, height, width) float32 in [-1, 1].

    Raises:
        ReadError: too large or damaged.
    """
    return array_to_float(image_to_rgb(image, f"the {name} given")[None], size, name, fit)


def audio_to_float(audio: object) -> torch.Tensor:
    """Bring samples to [-1, 1] by their type.

    Args:
        audio: an array, a tensor or a sequence of numbers, of any shape.

    Returns:
        The same shape, float32.

    Raises:
        GeometryError: another type, or values outside their range.
    """
    try:
        samples = audio.detach().cpu() if isinstance(audio, torch.Tensor) else torch.as_tensor(np.asarray(audio))
    except (TypeError, ValueError, RuntimeError) as error:
        raise GeometryError(f"audio must be an array or a tensor of samples, got {describe(audio)}") from error
    kind = str(samples.dtype).removeprefix("torch.")
    if kind in _AUDIO_SCALES:
        zero, scale = _AUDIO_SCALES[kind]
        return samples.double().sub(zero).div(scale).float()
    if samples.dtype not in _TENSOR_TYPES:
        wanted = f"{', '.join(_AUDIO_SCALES)} or floating point in [-1, 1]"
        raise GeometryError(f"audio must be {wanted}, got {describe(samples)}")
    samples = samples.float()
    if samples.numel():
        least, most = torch.aminmax(samples)
        check_range(float(least), float(most), (-1.0, 1.0), "float audio")
    return samples.clamp(-1.0, 1.0)


def check_range(least: float, most: float, bounds: tuple[float, float], what: str) -> None:
    """Refuse values outside their range; NaN, which makes both ends NaN, too.

    Raises:
        GeometryError: more than rounding outside `bounds`.
    """
    low, high = bounds
    if not (least >= low - _TOLERANCE and most <= high + _TOLERANCE):
        raise GeometryError(
            f"{what} must lie in [{low:g}, {high:g}] and hold finite numbers, got {least:g} to {most:g}; nearest is to "
            "scale it, or to give integers of their own type"
        )
