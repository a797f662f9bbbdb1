"""One way from any PIL image, read from a file or given in Python, to RGB as it is meant to be seen."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageCms

from mova.errors import MovaError, ReadError
from mova.media import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ORIENTATION = 0x0112
# EXIF's orientation: (mirrored left to right, then counter-clockwise quarter turns).
_UPRIGHT = {
    2: (True, 0),
    3: (False, 2),
    4: (True, 2),
    5: (True, 1),
    6: (False, 3),
    7: (True, 3),
    8: (False, 1),
}
_WHITE = (255, 255, 255, 255)
# What full scale may be, where only the numbers tell: a fraction, 8 bits, 16 bits, 31 bits.
_FLOAT_SCALES = (1.0, 255.0, 65_535.0)
_INTEGER_SCALES = (255.0, 65_535.0, 2_147_483_647.0)
_PIXELS_AT_ONCE = 1 << 22
# Modes of Pillow by the colour space that a profile of theirs must have.
_PROFILE_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}


def image_to_rgb(image: Image.Image, source: object = "the image given") -> np.ndarray:
    """Turn an image into RGB, upright, over white, in sRGB.

    The orientation tag is applied. Transparency of any kind is laid over white. A colour profile is converted to sRGB
    with relative colorimetry; one that is broken or of another kind of colour than the image is left out, as browsers
    do. Grey with more than 8 bits, integers of 32 and floating point are scaled by the smallest usual full scale that
    holds all values: 1 (floating point only), 255, 65,535, 2,147,483,647 (integers only). Of an animation it is the
    image at which it stands, the first one of a file.

    Args:
        image: image in any mode of Pillow.
        source: names it in errors.

    Returns:
        (H, W, 3) uint8, contiguous.

    Raises:
        ReadError: too large, damaged, or numbers that are not finite, negative or beyond every full scale.
    """
    limits.check_image_size(*image.size, image.format, source)
    try:
        image.load()
        convert = _converter(image, source)
        pixels = np.empty((image.height, image.width, 3), dtype=np.uint8)
        for top, strip in _strips(image):
            pixels[top : top + strip.height] = convert(strip)
        return _upright(pixels, _orientation(image))
    except MovaError:
        raise
    except Exception as error:  # Pillow's readers raise whatever a damaged file makes them stumble over
        raise ReadError(f"an image must be readable, got {source}: {error or type(error).__name__}") from error


def over_white(pixels: np.ndarray) -> np.ndarray:
    """Lay (..., 4) uint8 pixels with transparency over white: (..., 3) uint8."""
    rgb, alpha = pixels[..., :3].astype(np.uint16), pixels[..., 3:].astype(np.uint16)
    return np.asarray((rgb * alpha + 255 * (255 - alpha) + 127) // 255, dtype=np.uint8)


def _converter(image: Image.Image, source: object) -> Callable[[Image.Image], np.ndarray]:
    """Return what turns a strip of the image into (H, W, 3) uint8."""
    if image.mode.startswith("I") or image.mode == "F":
        scale = _full_scale(image, source)
        clear = image.info.get("transparency")

        def from_numbers(strip: Image.Image) -> np.ndarray:
            values = np.asarray(strip)
            grey = np.rint(values.astype(np.float64) * (255.0 / scale)).astype(np.uint8)
            if isinstance(clear, int):
                grey = np.where(values == clear, np.uint8(255), grey)
            return np.repeat(grey[..., None], 3, axis=2)

        return from_numbers
    transform, mode = _to_srgb(image)

    def from_colours(strip: Image.Image) -> np.ndarray:
        is_clear = strip.has_transparency_data
        # Pillow converts premultiplied grey to colours only by way of plain grey.
        plain = strip.convert("LA") if strip.mode == "La" else strip
        plain = plain.convert("RGBA") if is_clear else plain
        if transform is None:
            flat = plain.convert("RGB")
        else:
            flat = transform.apply(plain if plain.mode == mode else plain.convert(mode))
        if is_clear:
            flat.putalpha(plain.getchannel("A"))
            flat = Image.alpha_composite(Image.new("RGBA", flat.size, _WHITE), flat).convert("RGB")
        return np.asarray(flat)

    return from_colours


def _to_srgb(image: Image.Image) -> tuple[Any, str]:
    """Return (transform to sRGB, mode that it takes); (None, "") where colours are sRGB or not known."""
    if image.mode == "LAB":
        return ImageCms.buildTransform(
            ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
        ), "LAB"
    stored = image.info.get("icc_profile")
    if not isinstance(stored, bytes) or not stored:
        return None, ""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(stored))
        mode = _PROFILE_MODES.get(profile.profile.xcolor_space, "")
        is_grey, is_cmyk = image.mode in ("1", "L", "LA", "La"), image.mode == "CMYK"
        wanted = "L" if is_grey else "CMYK" if is_cmyk else "RGB"
        if mode != wanted or "srgb" in (profile.profile.profile_description or "").lower():
            return None, ""
        return (
            ImageCms.buildTransform(
                profile,
                ImageCms.createProfile("sRGB"),
                mode,
                "RGB",
                renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            ),
            mode,
        )
    except Exception:  # a broken profile: the image is read as if it had none
        return None, ""


def _full_scale(image: Image.Image, source: object) -> float:
    if image.mode.startswith("I;"):
        return 65_535.0
    least, most = 0.0, 0.0
    for _, strip in _strips(image):
        values = np.asarray(strip)
        if not np.isfinite(values).all():
            raise ReadError(f"an image must hold finite numbers, got NaN or infinity in {source}")
        least, most = min(least, float(values.min())), max(most, float(values.max()))
    scales = _FLOAT_SCALES if image.mode == "F" else _INTEGER_SCALES
    if least < 0 or most > scales[-1]:
        raise ReadError(
            f"an image's numbers must lie in [0, {scales[-1]:g}], got {least:g} to {most:g} in {source}; "
            "nearest is to scale them to [0, 1]"
        )
    return next(scale for scale in scales if most <= scale)


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield (first row, strip): converted one by one, so that memory holds the image twice and not five times."""
    rows = max(1, _PIXELS_AT_ONCE // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged metadata of an image that is sound
        return 1
    return value if isinstance(value, int) else 1


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    mirrored, turns = _UPRIGHT.get(orientation, (False, 0))
    if mirrored:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(np.rot90(pixels, turns))
