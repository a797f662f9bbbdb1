"""A clip's own file: exactly the frames and samples of its format, finished or not at all."""

from fractions import Fraction

import av
import numpy as np
import pytest

from mova.errors import MuxError
from mova.media.mp4.streams import rgb_to_yuv
from mova.media.transcode.encode import ClipFormat, clip_file
from mova.media.transcode.verify import verify_clip

FORM = ClipFormat(9, Fraction(24), (96, 160), preset="ultrafast")


def test_the_clip_of_the_paper_has_386000_samples():
    assert ClipFormat().num_samples == 386_000
    assert ClipFormat().duration == Fraction(193, 24)


@pytest.mark.parametrize("channels", [1, 2])
def test_frames_and_samples_are_all_there(tmp_path, channels):
    waveform = np.full((channels, FORM.num_samples), 0.25, np.float32)
    with clip_file(tmp_path / "a.mp4", FORM, (96, 160), waveform) as clip:
        for level in range(9):
            clip.show(rgb_to_yuv(np.full((96, 160, 3), 20 * level, np.uint8)))
    verify_clip(tmp_path / "a.mp4", FORM)
    with av.open(str(tmp_path / "a.mp4")) as file:
        assert file.streams.audio[0].channels == channels
        levels = [frame.to_ndarray(format="gray").mean() for frame in file.decode(video=0)]
    assert levels == sorted(levels)


def test_a_clip_with_too_few_frames_is_an_error(tmp_path):
    waveform = np.zeros((1, FORM.num_samples), np.float32)
    with (
        pytest.raises(MuxError, match="must have 9 frames, got 1"),
        clip_file(tmp_path / "a.mp4", FORM, (96, 160), waveform) as clip,
    ):
        clip.show(rgb_to_yuv(np.zeros((96, 160, 3), np.uint8)))


def test_the_same_frames_give_the_same_bytes_whatever_lies_in_memory(tmp_path):
    form = ClipFormat(33, Fraction(24), (176, 304), preset="veryfast")
    chance = np.random.default_rng(1)
    scene = np.kron(chance.integers(16, 236, (20, 30)), np.ones((16, 16))).astype(np.uint8)
    planes = np.full((33, 264, 304), 128, np.uint8)
    for index, plane in enumerate(planes):
        plane[:176] = scene[index : index + 176, index : index + 304] + chance.integers(0, 12, (176, 304), np.uint8)
    waveform = np.zeros((1, form.num_samples), np.float32)
    path, found, others = tmp_path / "a.mp4", set(), []
    for _ in range(8):
        others = [*others[-5:], np.ones(chance.integers(1, 3_000_000), np.uint8)]
        with clip_file(path, form, (176, 304), waveform) as clip:
            for plane in planes:
                clip.show(av.VideoFrame.from_ndarray(plane, format="yuv420p"))
        found.add(path.read_bytes())
    assert len(found) == 1
