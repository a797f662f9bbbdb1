import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

import peak_memory
from mova.errors import ReadError
from mova.media import limits
from mova.media.frames import read_image
from mova.media.images import image_to_rgb, over_white


def icc_profile(columns, space=b"RGB ", kind=b"mntr"):
    """Return a colour profile of gamma 2.2 whose primaries have these XYZ values."""

    def xyz(values):
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))

    curve = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(2.2 * 256))
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(80)
    tags = {b"desc": text, b"wtpt": xyz((0.9642, 1.0, 0.8249)), b"cprt": b"text\0\0\0\0none\0\0\0\0"}
    if space == b"RGB ":
        tags |= {name + b"XYZ": xyz(column) for name, column in zip((b"r", b"g", b"b"), columns, strict=True)}
        tags |= {name + b"TRC": curve for name in (b"r", b"g", b"b")}
    else:
        tags |= {b"kTRC": b"curv\0\0\0\0" + struct.pack(">IHxx", 1, 256)}
    at, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += struct.pack(">4sII", name, at + len(body), len(content))
        body += content
    size = 128 + len(table) + len(body)
    header = struct.pack(">I4sI4s4s4s12x4s", size, b"none", 0x02400000, kind, space, b"XYZ ", b"acsp")
    return header.ljust(68, b"\0") + struct.pack(">3i", 63190, 65536, 54061).ljust(60, b"\0") + table + body


RED, GREEN, BLUE = (0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_upright_from_a_file_and_in_python(tmp_path, orientation):
    upright = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, 3),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png"), upright)
    with Image.open(tmp_path / "a.png") as image:
        assert np.array_equal(image_to_rgb(image), upright)


def transparent_images():
    """Yield (name, image): the left half is clear over dark pixels, the right half is (200, 40, 40)."""
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[:, 4:] = (200, 40, 40, 255)
    image = Image.fromarray(rgba)
    yield "rgba", image
    yield "rgba premultiplied", image.convert("RGBa")
    rgb = image.convert("RGB")
    rgb.info["transparency"] = (0, 0, 0)
    yield "one clear colour", rgb
    palette = image.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE, colors=2)
    palette.info["transparency"] = palette.getpixel((0, 0))
    yield "palette", palette
    levels = image.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE, colors=2)
    levels.info["transparency"] = bytes([0, 255] if palette.getpixel((0, 0)) == 0 else [255, 0])
    yield "palette with levels", levels


@pytest.mark.parametrize(("name", "image"), list(transparent_images()))
def test_transparency_of_every_kind_lies_on_white(name, image):
    pixels = image_to_rgb(image)
    assert (pixels[:, :4] == 255).all()
    assert np.abs(pixels[:, 4:].astype(int) - (200, 40, 40)).max() <= 1


@pytest.mark.parametrize("depth", [1, 8, 16])
def test_grey_with_a_clear_value_lies_on_white(tmp_path, depth):
    grey = np.zeros((8, 8), np.uint8)
    grey[:, 4:] = 255 if depth == 1 else 100
    image = Image.fromarray(grey)
    if depth == 1:
        image = image.convert("1")
    elif depth == 16:
        image = Image.fromarray(grey.astype(np.uint16) * 257)
    image.save(tmp_path / "a.png", transparency=0)
    pixels = read_image(tmp_path / "a.png")
    assert (pixels[:, :4] == 255).all()
    assert (pixels[:, 4:] == (255 if depth == 1 else 100)).all()
    grey_alpha = Image.merge("LA", (Image.fromarray(grey), Image.fromarray(np.where(grey, 255, 0).astype(np.uint8))))
    assert (image_to_rgb(grey_alpha)[:, :4] == 255).all()


def test_half_transparent_pixels_are_mixed_with_white():
    rgba = np.full((2, 2, 4), (0, 100, 200, 128), np.uint8)
    expected = np.rint(np.array([0, 100, 200]) * 128 / 255 + 127)
    for pixels in (image_to_rgb(Image.fromarray(rgba)), over_white(rgba)):
        assert np.abs(pixels.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0.0, 0.5, 1.0]], np.float32), (0, 128, 255)),
        (np.array([[0.0, 128.0, 255.0]], np.float32), (0, 128, 255)),
        (np.array([[0, 128 * 257, 65_535]], np.int32), (0, 128, 255)),
        (np.array([[0, 128, 255]], np.int32), (0, 128, 255)),
        (np.array([[0, 1 << 30, (1 << 31) - 1]], np.int32), (0, 128, 255)),
        (np.array([[0, 128 * 257, 65_535]], np.uint16), (0, 128, 255)),
        (np.array([[0, 257, 514]], np.uint16), (0, 1, 2)),
    ],
)
def test_deep_grey_is_scaled_by_its_full_scale(tmp_path, values, expected):
    Image.fromarray(values).save(tmp_path / "a.tiff")
    pixels = read_image(tmp_path / "a.tiff")
    assert pixels.tolist() == [[[value] * 3 for value in expected]]
    assert np.array_equal(image_to_rgb(Image.fromarray(values)), pixels)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 1e9])
def test_numbers_that_are_no_image_are_refused(tmp_path, value):
    Image.fromarray(np.array([[0.0, value]], np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(ReadError, match=r"must (hold finite numbers|lie in \[0, 65535\]), got .*a\.tiff"):
        read_image(tmp_path / "a.tiff")


def test_colour_profiles_are_converted_and_broken_ones_left_out(tmp_path):
    pixels = np.full((4, 4, 3), (255, 0, 0), np.uint8)
    swapped = icc_profile((GREEN, RED, BLUE))
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=swapped)
    assert np.abs(read_image(tmp_path / "a.png").astype(int) - (0, 255, 0)).max() <= 3
    rgba = np.dstack([pixels, np.full((4, 4), 0, np.uint8)])
    Image.fromarray(rgba).save(tmp_path / "clear.png", icc_profile=swapped)
    assert (read_image(tmp_path / "clear.png") == 255).all()
    linear_grey = icc_profile((), space=b"GRAY")
    Image.fromarray(np.full((4, 4), 128, np.uint8)).save(tmp_path / "grey.png", icc_profile=linear_grey)
    assert np.abs(read_image(tmp_path / "grey.png").astype(int) - 188).max() <= 3
    for broken in (b"not a profile", swapped[:200], linear_grey):
        Image.fromarray(pixels).save(tmp_path / "b.png", icc_profile=broken)
        assert np.array_equal(read_image(tmp_path / "b.png"), pixels)


def test_animations_give_their_first_image(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for name in ("a.gif", "a.png", "a.webp"):
        options = {"lossless": True} if name.endswith("webp") else {}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
        assert np.abs(read_image(tmp_path / name).astype(int) - (255, 0, 0)).max() <= 1


def test_images_of_other_formats_and_sizes_are_refused_from_the_header(tmp_path, monkeypatch):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.ppm")
    for name, content in (
        ("a.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n"),
        ("a.qoi", b"qoif\0\0\0\x08\0\0\0\x08\x04\0" + bytes(9)),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ReadError, match=f"must be one of PNG, JPEG, .* got .*{name}"):
            read_image(tmp_path / name)
    monkeypatch.setattr(limits, "MAX_IMAGE_PIXELS", 63)
    with pytest.raises(ReadError, match=r"1 to 63 pixels, got .*a\.ppm of 8x8; nearest is 7x7"):
        read_image(tmp_path / "a.ppm")
    with pytest.raises(ReadError, match="got the image given of 8x8"):
        image_to_rgb(Image.new("L", (8, 8)))


def test_damaged_metadata_does_not_matter(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add(b"eXIf", b"MM\0*\xff\xff\xff\xff")
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png", pnginfo=info)
    assert (read_image(tmp_path / "a.png") == (255, 0, 0)).all()


LARGEST = """
import sys
sys.path.insert(0, sys.argv[2])
from mova.media.frames import read_image
from peak_memory import peak_bytes
shape = read_image(sys.argv[1]).shape
print(*shape, peak_bytes() // 2**20)
"""


def test_the_largest_images_stay_within_the_stated_memory(tmp_path):
    side = int(limits.MAX_IMAGE_PIXELS**0.5)
    Image.new("1", (side, side), 1).save(tmp_path / "large.png")
    command = [sys.executable, "-c", LARGEST, str(tmp_path / "large.png"), str(Path(peak_memory.__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    height, width, channels, mebibytes = map(int, done.stdout.split())
    assert (height, width, channels) == (side, side, 3)
    assert mebibytes < 1536
