"""A clip that is written while it is made."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from mova.errors import MuxError
from mova.geometry import num_samples
from mova.media.mp4.growing import growing_clip
from mova.media.read import read_clip
from mova.media.write import read_metadata, write_clip
from mova.types import Clip

RATE = 16_000


def piece(num_frames, first=0):
    rng = np.random.default_rng(first)
    frames = rng.integers(0, 256, (num_frames, 32, 48, 3), np.uint8)
    samples = num_samples(first + num_frames, 24.0, RATE) - num_samples(first, 24.0, RATE)
    return frames, (0.2 * rng.standard_normal((1, samples))).clip(-1, 1).astype(np.float32)


def test_a_clip_in_pieces_is_the_clip_that_is_written_at_once(tmp_path):
    pieces = [piece(5), piece(7, 5)]
    with growing_clip(tmp_path / "grown.mp4", (32, 48), 24.0, sample_rate=RATE) as clip:
        for frames, samples in pieces:
            clip.add(frames, samples)
        assert not (tmp_path / "grown.mp4").exists()
        clip.describe({"prompt": "a ball", "windows": [1, 2]})
    assert read_metadata(tmp_path / "grown.mp4") == {"prompt": "a ball", "windows": [1, 2]}
    frames = np.concatenate([one for one, _ in pieces])
    samples = np.concatenate([one for _, one in pieces], axis=1)
    write_clip(tmp_path / "whole.mp4", Clip(frames, samples, 24.0, RATE))
    grown, whole = read_clip(tmp_path / "grown.mp4"), read_clip(tmp_path / "whole.mp4")
    assert np.array_equal(grown.frames, whole.frames)
    assert np.array_equal(grown.waveform, whole.waveform)


def test_a_fault_on_the_way_leaves_nothing(tmp_path):
    def grow():
        with growing_clip(tmp_path / "clip.mp4", (32, 48), 24.0, sample_rate=RATE) as clip:
            clip.add(*piece(5))
            raise KeyError("of the caller")

    with pytest.raises(KeyError):
        grow()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("frames", "samples", "text"),
    [
        (np.zeros((2, 32, 32, 3), np.uint8), None, r"frames must be \(F, 32, 48, 3\) uint8"),
        (np.zeros((2, 32, 48, 3), np.float32), None, r"frames must be \(F, 32, 48, 3\) uint8"),
        (None, np.zeros((2, 50), np.float32), r"samples must be \(1, S\)"),
        (None, np.full((1, 5), np.nan, np.float32), "samples must be finite"),
        (None, np.full((1, 5), 2.0, np.float32), r"samples must lie in \[-1, 1\]"),
    ],
)
def test_other_media_are_refused(tmp_path, frames, samples, text):
    with (
        pytest.raises(MuxError, match=text),
        growing_clip(tmp_path / "clip.mp4", (32, 48), 24.0, sample_rate=RATE) as clip,
    ):
        clip.add(frames, samples)


def test_audio_of_another_length_than_the_video_is_refused(tmp_path):
    frames, samples = piece(5)
    with (
        pytest.raises(MuxError, match=r"audio must last as long as the video: 5 frames .* 3333 samples, got 3332"),
        growing_clip(tmp_path / "clip.mp4", (32, 48), 24.0, sample_rate=RATE) as clip,
    ):
        clip.add(frames, samples[:, :-1])


def test_a_record_that_does_not_fit_is_refused_before_it_is_needed(tmp_path):
    with (
        pytest.raises(MuxError, match="record of a clip must have at most 100 bytes, got 2"),
        growing_clip(tmp_path / "clip.mp4", (32, 48), 24.0, sample_rate=RATE, room=100) as clip,
    ):
        clip.describe({"prompt": "a" * 200})


KILLED = """
import sys, numpy as np
from mova.media.mp4.growing import growing_clip
with growing_clip(sys.argv[1], (32, 48), 24.0, sample_rate=16_000) as clip:
    clip.add(np.zeros((40, 32, 48, 3), np.uint8), np.zeros((1, 26666), np.float32))
    print("half", flush=True)
    sys.stdin.read()
"""


def test_a_process_that_is_killed_leaves_no_file_under_the_name(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "clip.mp4")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )
    with process:
        assert process.stdout.readline() == b"half\n"
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "clip.mp4").exists()


@pytest.mark.parametrize("num_frames", [1, 11, 40])
def test_a_clip_goes_on_from_the_packets_of_another_one(tmp_path, num_frames):
    frames, samples = piece(num_frames)
    write_clip(tmp_path / "first.mp4", Clip(frames, samples, 24.0, RATE))
    with growing_clip(tmp_path / "grown.mp4", (32, 48), 24.0, sample_rate=RATE) as clip:
        begun = clip.begun(tmp_path / "first.mp4")
        clip.add(samples=samples)
        clip.copy(list(begun.packets()))
        clip.add(*piece(7, num_frames))
    found, first = read_clip(tmp_path / "grown.mp4"), read_clip(tmp_path / "first.mp4")
    assert found.frames.shape == (num_frames + 7, 32, 48, 3)
    assert np.array_equal(found.frames[:num_frames], first.frames)
    brightness, given = found.frames[num_frames:].mean(-1), piece(7, num_frames)[0].mean(-1)
    assert np.corrcoef(brightness.ravel(), given.ravel())[0, 1] > 0.6
