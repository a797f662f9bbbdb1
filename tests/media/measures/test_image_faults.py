"""What FFmpeg's filters say of a file, put together."""

import numpy as np
import pytest

from mova.errors import ReadError
from mova.media.measures.image_faults import image_faults
from shared_scoring import clip_of, texture


def test_black_at_the_beginning_and_at_the_end_is_added_up(tmp_path):
    frames = np.stack([np.roll(texture(64, 96), 3 * index, axis=1) for index in range(48)])
    frames[:6] = 0
    frames[36:] = 0
    found = image_faults(clip_of(tmp_path / "a.mp4", frames).path)
    assert found.duration_s == pytest.approx(2.0)
    assert found.black_s == pytest.approx(0.75, abs=0.01)


def test_a_checkerboard_has_the_spatial_information_of_its_edges(tmp_path):
    board = np.kron(np.indices((4, 6)).sum(0) % 2, np.ones((16, 16))) * 100 + 60
    frames = np.repeat(np.repeat(board[None, ..., None], 3, axis=3), 4, axis=0).astype(np.uint8)
    found = image_faults(clip_of(tmp_path / "a.mp4", frames).path)
    luma = 16 + board * 219 / 255
    rows, columns = (np.zeros_like(luma) for _ in range(2))
    smooth, step = np.array([1, 2, 1]), np.array([-1, 0, 1])
    for dy in range(3):
        for dx in range(3):
            part = luma[dy : dy + 62, dx : dx + 94]
            rows[1:-1, 1:-1] += step[dy] * smooth[dx] * part
            columns[1:-1, 1:-1] += smooth[dy] * step[dx] * part
    expected = np.hypot(rows, columns)[1:-1, 1:-1].std()
    # FFmpeg looks at limited-range light as full range.
    assert found.spatial_information == pytest.approx(expected, rel=0.25)


@pytest.mark.parametrize("content", [b"", b"no video"])
def test_a_file_that_is_no_video_is_an_error(tmp_path, content):
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    with pytest.raises(ReadError, match=r"bad\.mp4"):
        image_faults(path)


def test_a_large_video_is_shrunk_before_its_information_is_measured(tmp_path):
    large = np.repeat(texture(480, 640, smooth=16)[None], 3, axis=0)
    small = large[:, ::2, ::2]
    found = [
        image_faults(clip_of(tmp_path / f"{index}.mp4", frames).path).spatial_information
        for index, frames in enumerate((large, small))
    ]
    assert found[0] == pytest.approx(found[1], rel=0.35)
