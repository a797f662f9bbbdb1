"""Where content goes: upright, square pixels, centred with even bars, in BT.709."""

from fractions import Fraction

import av
import numpy as np
import pytest

from footage_kit import ffmpeg, steady_ticks, write_video
from mova.media.colour import ColourTags
from mova.media.media_file import open_media, video_stream
from mova.media.transcode.canvas import Canvas, Look, lay_out, look_of

TAGS = ColourTags(2, 2, 2)
COLOURS = np.array([[[200, 30, 30], [30, 200, 30]], [[30, 30, 200], [200, 200, 30]]], np.uint8)


def look(height, width, *, aspect=1.0, turns=0):
    return Look((height, width), aspect, turns, False, TAGS, None)


@pytest.mark.parametrize(
    ("given", "fit", "size", "canvas", "offset"),
    [
        (look(1080, 1920), "pad", (720, 1280), (720, 1280), (0, 0)),
        (look(480, 640), "pad", (720, 960), (720, 1280), (0, 160)),
        (look(480, 640), "crop", (960, 1280), (720, 1280), (-120, 0)),
        (look(800, 1920), "pad", (532, 1280), (720, 1280), (94, 0)),
        (look(1920, 1080), "pad", (1280, 720), (1280, 720), (0, 0)),
        (look(1080, 1920, turns=1), "pad", (1280, 720), (1280, 720), (0, 0)),
        (look(576, 720, aspect=64 / 45), "pad", (720, 1280), (720, 1280), (0, 0)),
        (look(999, 1001), "pad", (720, 720), (720, 1280), (0, 280)),
    ],
)
def test_content_is_scaled_into_the_middle_of_a_canvas_of_its_orientation(given, fit, size, canvas, offset):
    layout = lay_out(given, None, (720, 1280), fit)
    assert (layout.size, layout.canvas, layout.offset) == (size, canvas, offset)


def test_the_orientation_is_that_of_the_content_without_borders():
    layout = lay_out(look(1080, 1920), (656, 0, 1264, 1080), (720, 1280), "pad")
    assert layout.canvas == (1280, 720)
    assert layout.size == (1280, 720)


def shown(path, size=(96, 160), fit="pad", box=None):
    """Return the first frame of a file on its canvas, as RGB."""
    with open_media(path) as container:
        stream = video_stream(container, path)
        frame = next(container.decode(stream))
        seen = look_of(stream, TAGS, frame, path)
        placed = Canvas(path, seen, lay_out(seen, box, size, fit))(frame, 0.0)
        assert placed.format.name == "yuv420p"
        return placed.reformat(format="rgb24", src_colorspace="ITU709", src_color_range="MPEG").to_ndarray()


def quarters(image):
    """Return the mean colour of each quarter, (2, 2, 3)."""
    height, width = image.shape[0] // 2, image.shape[1] // 2
    parts = [[image[a : a + height, b : b + width] for b in (0, width)] for a in (0, height)]
    inner = [[part[8:-8, 8:-8].mean(axis=(0, 1)) for part in row] for row in parts]
    return np.array(inner)


def coloured(path, size, **options):
    height, width = size
    image = np.kron(COLOURS, np.ones((height // 2, width // 2, 1), np.uint8))
    ticks, base = steady_ticks(24, 0.25)
    return write_video(path, [image] * len(ticks), ticks, base, **options)


@pytest.mark.parametrize(("degrees", "turns"), [(0, 0), (90, 1), (180, 2), (270, 3)])
def test_rotated_videos_stand_upright(tmp_path, degrees, turns):
    path = coloured(tmp_path / "a.mp4", (96, 160), degrees=degrees or None)
    image = shown(path)
    assert image.shape[:2] == ((160, 96) if turns % 2 else (96, 160))
    assert np.abs(quarters(image) - np.rot90(COLOURS, turns)).max() < 12


def test_odd_sizes_and_pixels_become_even_and_square(tmp_path):
    path = coloured(tmp_path / "a.mp4", (64, 54), aspect=Fraction(32, 27))
    image = shown(path)
    assert image[:, :30].max() < 20
    assert image[:, 50:110].mean() > 60


@pytest.mark.parametrize("fit", ["pad", "crop"])
def test_bars_are_symmetric_and_black_or_edges_are_cut(tmp_path, fit):
    image = shown(coloured(tmp_path / "a.mp4", (96, 96)), fit=fit)
    left, right = image[:, :24].max(), image[:, -24:].max()
    assert (left < 10 and right < 10) == (fit == "pad")
    assert image[30:40, 40:60].mean() > 50


def test_borders_are_left_out(tmp_path):
    image = np.zeros((96, 160, 3), np.uint8)
    image[16:80] = np.kron(COLOURS, np.ones((32, 80, 1), np.uint8))
    ticks, base = steady_ticks(24, 0.25)
    path = write_video(tmp_path / "a.mp4", [image] * len(ticks), ticks, base)
    whole = shown(path, box=(0, 16, 160, 80))
    assert whole[:14].max() < 40
    assert np.abs(quarters(whole[16:80]) - COLOURS).max() < 12


def test_transparency_lies_over_white_and_rgb_keeps_its_colours(tmp_path):
    path = coloured(tmp_path / "a.mov", (96, 160), codec="png", pix_fmt="rgb24")
    assert np.abs(quarters(shown(path)) - COLOURS).max() < 6


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_high_dynamic_range_is_mapped(tmp_path, transfer):
    path = coloured(tmp_path / "sdr.mp4", (96, 160))
    ffmpeg(
        *(
            "-i",
            str(path),
            "-vf",
            f"zscale=tin=709:pin=709:min=709:rin=limited:t={transfer}:p=2020:m=2020_ncl:r=limited,format=yuv420p10le",
        ),
        *("-c:v", "libx265", "-x265-params", "log-level=none", "-color_trc", transfer, "-color_primaries", "bt2020"),
        *("-colorspace", "bt2020nc", str(tmp_path / "hdr.mp4")),
    )
    image = quarters(shown(tmp_path / "hdr.mp4"))
    assert (image.argmax(axis=2) == COLOURS.argmax(axis=2))[:, 0].all()
    assert image.max() > 60


def test_damage_and_changed_sizes_are_refused(tmp_path):
    path = coloured(tmp_path / "a.mp4", (96, 160))
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    canvas = Canvas(path, look(64, 64), lay_out(look(64, 64), None, (96, 160), "pad"))
    with pytest.raises(Exception, match="keep their size"):
        canvas(frame, 0.0)
