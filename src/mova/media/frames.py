"""Images from files: orientation, size and the ranges of the models. Sizes are (height, width) in pixels."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np
from PIL import Image, UnidentifiedImageError

from mova.checks import check_choice
from mova.errors import GeometryError, MovaError, ReadError
from mova.media import limits
from mova.media.images import image_to_rgb

if TYPE_CHECKING:
    import os

_CENTRE = (0.5, 0.5)

Fit = Literal["crop", "pad", "stretch"]
"""What is done with media of another shape than the clip's: cut what sticks out, put black bars round it, or scale each
direction by itself."""
FITS: Final[tuple[Fit, ...]] = get_args(Fit)


def check_fit(name: str) -> Fit:
    """Return one of `FITS`.

    Raises:
        ConfigError: another name.
    """
    check_choice("fit", name, FITS)
    return next(fit for fit in FITS if fit == name)


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Read an image file as it is meant to be seen; what that means is said in `images.image_to_rgb`.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        ReadError: the file is missing, not an image of `limits.IMAGE_FORMATS`, too large, or damaged.
    """
    file = Path(path)
    if file.is_dir():
        raise ReadError(f"an image must be a file, got the directory {file}")
    if not file.is_file():
        raise ReadError(f"an image must exist, got {file}, which does not")
    limits.check_file_size(file.stat().st_size, file, most=limits.MAX_IMAGE_FILE_BYTES)
    return _decoded(file, file)


def read_image_bytes(content: bytes, name: str) -> np.ndarray:
    """Read the content of an image file; see `read_image`.

    Args:
        content: of the file.
        name: what it is, for errors.

    Raises:
        ReadError: as for a file.
    """
    limits.check_file_size(len(content), name, most=limits.MAX_IMAGE_FILE_BYTES)
    return _decoded(io.BytesIO(content), name)


def _decoded(file: Path | io.BytesIO, name: Path | str) -> np.ndarray:
    try:
        # Pillow warns of large images and damaged metadata; the size is checked here, the metadata has its own rules.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.init()
            formats = [name for name in limits.IMAGE_FORMATS if name in Image.OPEN]
            with Image.open(file, formats=formats) as image:
                return image_to_rgb(image, name)
    except UnidentifiedImageError as error:
        raise ReadError(f"an image must be one of {', '.join(limits.IMAGE_FORMATS)}, undamaged, got {name}") from error
    except Image.DecompressionBombError as error:
        raise ReadError(f"an image must have at most {limits.MAX_IMAGE_PIXELS} pixels, got {name}: {error}") from error
    except MovaError:
        raise
    except Exception as error:  # Pillow's readers raise whatever a damaged file makes them stumble over
        raise ReadError(f"an image must be readable, got {name}: {error or type(error).__name__}") from error


def cover(
    image: np.ndarray, size: tuple[int, int], *, crop: tuple[float, float] = _CENTRE, pixel_aspect: float = 1.0
) -> np.ndarray:
    """Scale an image until it covers `size`, keeping its proportions, and cut off what sticks out.

    Args:
        image: (H, W, 3) uint8.
        size: size of the result, (height, width).
        crop: which part is kept where there is too much, (vertical, horizontal): 0 top or left, 1 bottom or right.
        pixel_aspect: width of one pixel of `image` divided by its height.

    Returns:
        (height, width, 3) uint8, filtered with Lanczos (which averages over the right area when it shrinks).

    Raises:
        GeometryError: a size that is not positive, or a crop outside [0, 1].
    """
    box = cover_box(image.shape[:2], size, crop=crop, pixel_aspect=pixel_aspect)
    if image.shape[:2] == tuple(size) and pixel_aspect == 1.0:
        return np.ascontiguousarray(image)
    return scale_box(image, size, box)


def fit_image(
    image: np.ndarray,
    size: tuple[int, int],
    fit: Fit,
    *,
    crop: tuple[float, float] = _CENTRE,
    pixel_aspect: float = 1.0,
) -> np.ndarray:
    """Scale an image (H, W, 3) uint8 to (height, width) `size`; other arguments, result and errors as of `cover`.

    Args:
        image: of any shape.
        size: of the result.
        fit: "crop" is `cover`; "pad" shows all of the image, in the middle of black; "stretch" keeps no proportions.
        crop: for "crop".
        pixel_aspect: width of one pixel of `image` divided by its height.
    """
    if fit == "crop":
        return cover(image, size, crop=crop, pixel_aspect=pixel_aspect)
    cover_box(image.shape[:2], size)  # refuses a size that is none
    height, width = image.shape[:2]
    whole = (0.0, 0.0, float(width), float(height))
    if fit == "stretch":
        return image if (height, width) == tuple(size) else scale_box(image, size, whole)
    scale = min(size[0] / height, size[1] / (width * pixel_aspect))
    inner = max(1, round(height * scale)), max(1, round(width * pixel_aspect * scale))
    padded = np.zeros((*size, 3), dtype=np.uint8)
    top, left = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    padded[top : top + inner[0], left : left + inner[1]] = scale_box(image, inner, whole)
    return padded


def scale_box(image: np.ndarray, size: tuple[int, int], box: tuple[float, float, float, float]) -> np.ndarray:
    """Scale a part of an image (H, W, 3) uint8, box (left, top, right, bottom) of its pixels, to (height, width)."""
    scaled = Image.fromarray(np.ascontiguousarray(image))
    return np.array(scaled.resize((size[1], size[0]), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0))


def cover_box(
    given: tuple[int, ...], size: tuple[int, int], *, crop: tuple[float, float] = _CENTRE, pixel_aspect: float = 1.0
) -> tuple[float, float, float, float]:
    """Return what `cover` keeps of an image of (height, width) `given`: left, top, right and bottom in its pixels.

    Raises:
        GeometryError: as `cover`.
    """
    if min(size) < 1:
        raise GeometryError(f"an image's size must be at least 1x1, got height {size[0]} and width {size[1]}")
    if not all(0.0 <= part <= 1.0 for part in crop):
        raise GeometryError(f"crop must lie in [0, 1] in both directions, got {crop}")
    height, width = given
    wanted = size[1] / size[0] / pixel_aspect
    box_width, box_height = min(float(width), height * wanted), min(float(height), width / wanted)
    left, top = (width - box_width) * crop[1], (height - box_height) * crop[0]
    return left, top, min(left + box_width, width), min(top + box_height, height)


def display_size(height: int, width: int, *, pixel_aspect: float = 1.0, quarter_turns: int = 0) -> tuple[int, int]:
    """Return (height, width) of a coded image with square pixels and upright; no direction loses pixels."""
    if pixel_aspect > 1.0:
        width = round(width * pixel_aspect)
    elif pixel_aspect < 1.0:
        height = round(height / pixel_aspect)
    return (width, height) if quarter_turns % 2 else (height, width)


def orient(image: np.ndarray, quarter_turns: int, *, mirrored: bool = False) -> np.ndarray:
    """Mirror an image (H, W, 3) left to right if asked, then turn it by quarter turns counter-clockwise."""
    if mirrored:
        image = image[:, ::-1]
    return np.rot90(image, quarter_turns) if quarter_turns % 4 else image


def frames_to_float(frames: np.ndarray) -> np.ndarray:
    """Turn frames into the range and layout of the models.

    Args:
        frames: (F, H, W, 3) uint8.

    Returns:
        (3, F, H, W) float32 in [-1, 1], contiguous.

    Raises:
        GeometryError: another layout or type.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise GeometryError(f"frames must be (F, H, W, 3) uint8, got {tuple(frames.shape)} {frames.dtype}")
    return np.ascontiguousarray(frames.transpose(3, 0, 1, 2), dtype=np.float32) / np.float32(127.5) - np.float32(1.0)
