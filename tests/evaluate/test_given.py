"""What of a true clip is given, and which frames of it are then known."""

import numpy as np
import pytest

from mova.evaluate.given import GIVEN, known_of, media_of, with_truth
from mova.toyworld import render, sample_scene
from mova.types import Clip


@pytest.fixture(scope="module")
def clip():
    return render(sample_scene(3, kind="ball"), size=32, num_frames=49).clip


@pytest.mark.parametrize("given", GIVEN)
def test_what_is_known_is_what_the_pipeline_gets(clip, given):
    known, media = known_of(clip, given), media_of(clip, given)
    images = {moment % 49: image for moment, image in media.images.items()}
    if known is None:
        assert given in ("frame", "video", "audio")
        assert (media.video is None) == (given != "video")
        assert (media.audio is None) == (given != "audio")
        return
    if given == "prefix":
        images = dict(enumerate(media.video))
        assert known.until_s == known.seams_s[0] == len(media.video) / 24 == media.keep_video[0][1]
        assert media.audio.shape == (1, int(16_000 * known.until_s))
    else:
        assert (media.video, media.audio) == (None, None)
    assert known.frames.keys() == images.keys()
    for number, frame in known.frames.items():
        assert np.array_equal(frame, clip.frames[number])
        assert np.array_equal(frame, images[number])


def test_images_and_the_end_of_what_is_given_lie_on_latent_frames(clip):
    found = {given: tuple(known_of(clip, given).frames) for given in ("text", "last", "first_last", "keyframes")}
    assert found == {"text": (), "last": (48,), "first_last": (0, 48), "keyframes": (0, 16, 32, 48)}
    assert tuple(known_of(clip, "prefix").frames) == tuple(range(25))
    short = Clip(clip.frames[:9], clip.waveform[:, :6000], 24.0, 16_000)
    assert tuple(known_of(short, "keyframes").frames) == (0, 4, 8)
    assert len(known_of(short, "prefix").frames) == 5


def test_the_true_modality_takes_the_place_of_another_clips(clip):
    other = Clip(clip.frames[::-1].copy(), clip.waveform[:, ::-1].copy(), clip.frame_rate, clip.sample_rate)
    heard, seen = with_truth(other, clip, "video"), with_truth(other, clip, "audio")
    assert np.array_equal(heard.frames, clip.frames)
    assert np.array_equal(heard.waveform, other.waveform)
    assert np.array_equal(seen.frames, other.frames)
    assert np.array_equal(seen.waveform, clip.waveform)
