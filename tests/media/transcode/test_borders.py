"""Black borders: found to the pixel, and only where nothing is ever shown."""

import av
import numpy as np
import pytest

from mova.media.transcode.borders import Borders


def box_of(*images):
    borders = Borders()
    for image in images:
        borders.add(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p"))
    return borders.box()


def content(top=0, bottom=0, left=0, right=0, size=(180, 320), noise=3):
    random = np.random.default_rng(0)
    image = random.integers(0, noise + 1, (*size, 3)).astype(np.uint8)
    inside = image[top : size[0] - bottom, left : size[1] - right]
    inside[:] = random.integers(60, 200, inside.shape)
    return image


@pytest.mark.parametrize(
    ("edges", "box"),
    [
        ((22, 22, 0, 0), (0, 22, 320, 158)),
        ((0, 0, 40, 40), (40, 0, 280, 180)),
        ((20, 30, 10, 60), (10, 20, 260, 150)),
        ((0, 0, 110, 110), (110, 0, 210, 180)),
        ((21, 21, 0, 0), (0, 22, 320, 158)),
        ((2, 2, 0, 0), None),
        ((0, 0, 0, 0), None),
    ],
)
def test_borders_are_found_to_the_pixel(edges, box):
    assert box_of(content(*edges)) == box


def test_a_black_lead_in_says_nothing_and_what_shows_once_is_content():
    black = np.zeros((180, 320, 3), np.uint8)
    assert box_of(black, content(22, 22), black) == (0, 22, 320, 158)
    assert box_of(black, black) is None
    subtitle = content(22, 22)
    subtitle[165:172, 100:200] = 230
    assert box_of(content(22, 22), subtitle) == (0, 22, 320, 172)


def test_a_dark_video_is_no_border():
    lamp = np.zeros((180, 320, 3), np.uint8)
    lamp[80:100, 150:170] = 200
    assert box_of(lamp) is None


def test_frames_of_other_sizes_and_tiny_ones_are_left_out():
    assert box_of(content(22, 22), np.zeros((90, 160, 3), np.uint8)) == (0, 22, 320, 158)
    assert box_of(np.zeros((16, 16, 3), np.uint8)) is None
