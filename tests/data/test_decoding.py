"""Clips that come from other processes, in their order and in bounded memory."""

import numpy as np
import pytest

from broken_source import BrokenSource
from mova.data.config import ToyDataConfig
from mova.data.decoding import DecodedClips

DATA = ToyDataConfig(num_clips=9, validation_clips=2, size=32, num_frames=5)


@pytest.mark.parametrize("workers", [1, 2])
def test_clips_come_in_order_and_are_those_of_the_source(workers):
    source = BrokenSource(DATA, "train")
    source.broken = (3,)
    indices = [8, 3, 0, 1, 2, 4, 5, 6, 7]
    seen = []
    with DecodedClips(source, indices, workers, 2) as decoded:
        for one in decoded:
            seen.append(one.index)
            if one.index == 3:
                assert one.clip is None
                assert one.problem.endswith("clip 3 is broken")
                continue
            expected = source.load(one.index)
            np.testing.assert_array_equal(one.clip.frames, expected.frames)
            np.testing.assert_array_equal(one.clip.waveform, expected.waveform)
            assert (one.clip.own_frames, one.clip.own_samples) == (expected.own_frames, expected.own_samples)
            one.release()
    assert seen == indices


def test_no_more_clips_are_decoded_than_there_is_room_for(monkeypatch):
    loaded = []

    class Counting(BrokenSource):
        def load(self, index, start_s=None):
            loaded.append(index)
            return super().load(index, start_s)

    monkeypatch.setattr("mova.data.decoding.MOST_BYTES_AHEAD", 1)
    with DecodedClips(Counting(DATA, "train"), range(9), 1, 2) as decoded:
        clips = iter(decoded)
        held = [next(clips), next(clips)]
        assert len(loaded) <= 3
        for one in held:
            one.release()
        assert [one.index for one in (next(clips), next(clips))] == [2, 3]
    assert len(loaded) <= 5
