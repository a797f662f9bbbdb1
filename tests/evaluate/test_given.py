"""What of a true clip is given, and which frames of it are then known."""

import numpy as np
import pytest

from mova.evaluate.given import GIVEN, known_frames, media_of, with_truth
from mova.toyworld import render, sample_scene
from mova.types import Clip


@pytest.fixture(scope="module")
def clip():
    return render(sample_scene(3, kind="ball"), size=32, num_frames=49).clip


@pytest.mark.parametrize("given", GIVEN)
def test_the_frames_that_are_known_are_those_that_the_pipeline_gets(clip, given):
    known, media = known_frames(clip, given), media_of(clip, given)
    images = {0: media.image, 48: media.last_image}
    images = {number: image for number, image in images.items() if image is not None}
    if known is None:
        assert given in ("frame", "video", "audio")
        assert (media.video is None) == (given != "video")
        assert (media.audio is None) == (given != "audio")
        return
    assert (media.video, media.audio) == (None, None)
    assert known.keys() == images.keys()
    for number, frame in known.items():
        assert np.array_equal(frame, clip.frames[number])
        assert np.array_equal(frame, images[number])


def test_a_caption_alone_gives_nothing(clip):
    media = media_of(clip, "text")
    assert (media.image, media.last_image, media.video, media.audio) == (None,) * 4
    assert known_frames(clip, "text") == {}


def test_the_true_modality_takes_the_place_of_another_clips(clip):
    other = Clip(clip.frames[::-1].copy(), clip.waveform[:, ::-1].copy(), clip.frame_rate, clip.sample_rate)
    heard, seen = with_truth(other, clip, "video"), with_truth(other, clip, "audio")
    assert np.array_equal(heard.frames, clip.frames)
    assert np.array_equal(heard.waveform, other.waveform)
    assert np.array_equal(seen.frames, other.frames)
    assert np.array_equal(seen.waveform, clip.waveform)
