"""Tags of signals that are known."""

import numpy as np
import pytest

from mova.scorers.by_file.audio_tags import AudioTagScorer, tag_names, tag_probabilities
from shared_scoring import clip_of, reason, score, tone
from shared_speech import SAMPLE_RATE, speak


def surest(sound, folder):
    likely = tag_probabilities(sound.astype(np.float32), folder).max(axis=0)
    return tag_names(folder)[int(likely.argmax())]


def test_speech_noise_tones_and_silence_have_their_names(weights):
    assert surest(speak(4.0), weights) == "speech"
    assert surest(0.1 * np.random.default_rng(0).normal(size=4 * SAMPLE_RATE), weights) == "white noise"
    assert surest(tone(440, 4.0, sample_rate=SAMPLE_RATE), weights) in ("telephone", "dial tone", "alarm")
    assert surest(np.zeros(4 * SAMPLE_RATE), weights) == "silence"


def test_probabilities_come_every_half_second_and_short_sounds_are_filled_up(weights):
    assert len(tag_names(weights)) == 521
    found = tag_probabilities(speak(2.0), weights)
    # 198 windows of 25 ms hold three patches of 96, 48 apart.
    assert found.shape == (3, 521)
    assert ((found >= 0) & (found <= 1)).all()
    assert tag_probabilities(np.ones(10, np.float32), weights).shape == (1, 521)


def test_a_clip_has_tags_and_a_silent_one_a_reason(weights, tmp_path):
    clip = clip_of(tmp_path / "a.mp4", sound=speak(3.0), sample_rate=SAMPLE_RATE)
    found = score(AudioTagScorer(weights), clip)
    assert found.tags[0] == "speech"
    assert found.scores["tag_confidence"].value == pytest.approx(0.98, abs=0.05)
    silent = clip_of(tmp_path / "b.mp4", sound=np.zeros(48_000))
    assert reason(AudioTagScorer(weights), silent, "tag_confidence") == "not applicable: the sound is silent"


def test_without_a_folder_it_fails_and_does_not_raise(tmp_path):
    clip = clip_of(tmp_path / "a.mp4", sound=tone(440, 1.0))
    assert reason(AudioTagScorer(None), clip, "tag_confidence").startswith("failed: FileNotFoundError")
