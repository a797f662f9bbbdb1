"""Speech is told from tones, noise and silence."""

import numpy as np
import pytest

from mova.scorers import sound_events
from mova.scorers.sound_events import SoundEventScorer
from shared_scoring import clip_of, score, tone
from shared_speech import SAMPLE_RATE, speak


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    sound = np.concatenate([np.zeros(2 * SAMPLE_RATE), speak(4.0)])
    return clip_of(tmp_path_factory.mktemp("speech") / "a.mp4", sound=sound, sample_rate=SAMPLE_RATE)


def test_speech_has_its_share_its_spans_and_its_tag(speech):
    found = score(SoundEventScorer(), speech)
    assert found.scores["speech_share"].value == pytest.approx(3.3 / 6, abs=0.12)
    assert found.tags[0] == "speech"
    assert found.spans["speech"][0][0] == pytest.approx(2.2, abs=0.3)
    assert found.spans["speech"][-1][1] <= 6.0
    assert found.spans["speech"] == tuple(sorted(found.spans["speech"]))


def test_a_tone_is_music_and_not_speech(tmp_path):
    found = score(SoundEventScorer(), clip_of(tmp_path / "a.mp4", sound=tone(440, 4.0)))
    assert found.scores["speech_share"].value == 0.0
    assert found.scores["music_share"].value > 0.5
    assert found.tags == ("music",)


@pytest.mark.parametrize("level", [0.0, 0.1])
def test_noise_and_silence_are_nothing(tmp_path, level):
    sound = level * np.random.default_rng(0).normal(size=4 * 48_000).clip(-4, 4)
    found = score(SoundEventScorer(), clip_of(tmp_path / "a.mp4", sound=sound))
    assert {one.value for one in found.scores.values()} == {0.0}
    assert (found.tags, found.spans) == ((), {})


def test_sound_that_is_too_short_is_nothing():
    assert sound_events.detect(np.ones(100, np.float32), 0.1) == {"speech": (), "singing": (), "music": ()}


def test_what_was_heard_is_found_once(speech):
    assert sound_events.heard_spans(speech) is sound_events.heard_spans(speech)
