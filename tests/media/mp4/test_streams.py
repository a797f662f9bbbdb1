"""Frames and samples into an mp4 file, as they come."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.geometry import num_samples
from mova.media.mp4.streams import Mp4Streams

FRAMES, RATE = 12, 16_000
SAMPLES = num_samples(FRAMES, 24.0, RATE)


@pytest.fixture(scope="module")
def media():
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (FRAMES, 32, 48, 3), np.uint8)
    return frames, (0.2 * rng.standard_normal((1, SAMPLES))).clip(-1, 1).astype(np.float32)


def written(path, media, frame_cuts, sample_cuts):
    frames, samples = media
    streams = Mp4Streams(
        path, (32, 48), 24.0, channels=1, sample_rate=RATE, tags={"comment": "{}"}, options={"preset": "ultrafast"}
    )
    for first, last in pairwise([0, *sorted(frame_cuts), FRAMES]):
        streams.add(frames[first:last], None)
    for first, last in pairwise([0, *sorted(sample_cuts), SAMPLES]):
        streams.add(None, samples[:, first:last])
    streams.close()
    return path.read_bytes()


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, FRAMES), max_size=3), st.lists(st.integers(0, SAMPLES), max_size=3))
def test_the_file_does_not_depend_on_the_pieces_that_it_came_in(tmp_path_factory, media, frame_cuts, sample_cuts):
    folder = tmp_path_factory.mktemp("pieces")
    once = written(folder / "once.mp4", media, [], [])
    assert written(folder / "pieces.mp4", media, frame_cuts, sample_cuts) == once
