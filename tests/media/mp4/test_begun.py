"""The video of a file as the beginning of another one."""

import numpy as np
import pytest

from footage_kit import beeps, flash_frames, steady_ticks, write_video
from mova.geometry import num_samples
from mova.media.mp4.growing import growing_clip
from mova.media.write import write_clip
from mova.types import Clip


@pytest.fixture(scope="module")
def clip():
    frames = np.random.default_rng(0).integers(0, 256, (9, 32, 48, 3), np.uint8)
    return Clip(frames, np.zeros((1, 6000), np.float32), 24.0, 16_000)


@pytest.fixture
def begun(tmp_path):
    def find(path, size=(32, 48), rate=24.0):
        with growing_clip(tmp_path / "grown.mp4", size, rate, sample_rate=16_000) as growing:
            found = growing.begun(path)
            growing.add(np.zeros((1, *size, 3), np.uint8), np.zeros((1, num_samples(1, rate, 16_000)), np.float32))
        return found

    return find


def test_video_that_was_written_here_is_taken_over(tmp_path, clip, begun):
    write_clip(tmp_path / "a.mp4", clip)
    found = begun(tmp_path / "a.mp4")
    assert (found.num_frames, sorted(found.ranks), found.delay) == (9, list(range(9)), 2)
    packets = list(found.packets())
    assert [packet.dts for packet in packets] == list(range(-2, 7))
    assert all(packet.dts <= packet.pts for packet in packets)


def test_what_cannot_be_taken_over_has_a_reason(tmp_path, clip, begun):
    write_clip(tmp_path / "a.mp4", clip)
    assert begun(tmp_path / "a.mp4", size=(48, 32)) == "it is stored in another shape"
    assert begun(tmp_path / "a.mp4", rate=25.0) == "it was encoded in another way"
    write_clip(tmp_path / "b.mp4", clip, preset="ultrafast")
    assert begun(tmp_path / "b.mp4") == "it was encoded in another way"
    ticks, base = steady_ticks(24, 1.0)
    foreign = write_video(tmp_path / "c.mp4", flash_frames(ticks, base, [0.5]), ticks, base, audio=beeps([0.5], 1.0))
    assert "it" in begun(foreign, size=(64, 96))
