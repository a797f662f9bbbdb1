"""Tags of signals that are known."""

import numpy as np
import pytest

from mova.scorers.by_file.audio_tags import AudioTagScorer, hear, tag_names
from shared_scoring import clip_of, cosine, reason, score, tone
from shared_speech import SAMPLE_RATE, speak


def surest(sound, folder):
    likely = hear(sound.astype(np.float32), folder)[0].max(axis=0)
    return tag_names(folder)[int(likely.argmax())]


def test_speech_noise_tones_and_silence_have_their_names(weights):
    assert surest(speak(4.0), weights) == "speech"
    assert surest(0.1 * np.random.default_rng(0).normal(size=4 * SAMPLE_RATE), weights) == "white noise"
    assert surest(tone(440, 4.0, sample_rate=SAMPLE_RATE), weights) in ("telephone", "dial tone", "alarm")
    assert surest(np.zeros(4 * SAMPLE_RATE), weights) == "silence"


def test_probabilities_come_every_half_second_and_short_sounds_are_filled_up(weights):
    assert len(tag_names(weights)) == 521
    found, vectors = hear(speak(2.0), weights)
    # 198 windows of 25 ms hold three patches of 96, 48 apart.
    assert found.shape == (3, 521)
    assert ((found >= 0) & (found <= 1)).all()
    assert vectors.shape == (3, 1024)
    assert hear(np.ones(10, np.float32), weights)[0].shape == (1, 521)


def test_what_sounds_alike_has_near_vectors_and_other_sounds_have_not(weights, tmp_path):
    sound, noise = speak(3.0), np.random.default_rng(0).normal(size=3 * SAMPLE_RATE)
    clips = {
        "speech": sound,
        "softer": 0.5 * sound,
        "noise": 0.1 * noise,
        "tone": tone(440, 3.0, sample_rate=SAMPLE_RATE),
    }
    scorer = AudioTagScorer(weights)
    vectors = {}
    for name, heard in clips.items():
        clip = clip_of(tmp_path / f"{name}.mp4", sound=heard, sample_rate=SAMPLE_RATE)
        vectors[name] = score(scorer, clip).embeddings["yamnet"]
        assert vectors[name].shape == (scorer.spaces[0].width,)
    assert cosine(vectors["speech"], vectors["softer"]) > 0.96
    assert cosine(vectors["speech"], vectors["noise"]) < 0.6
    assert cosine(vectors["speech"], vectors["tone"]) < 0.8
    silent = clip_of(tmp_path / "silent.mp4", sound=np.zeros(SAMPLE_RATE * 3), sample_rate=SAMPLE_RATE)
    assert score(scorer, silent).embeddings == {}


def test_a_clip_has_tags_and_a_silent_one_a_reason(weights, tmp_path):
    clip = clip_of(tmp_path / "a.mp4", sound=speak(3.0), sample_rate=SAMPLE_RATE)
    found = score(AudioTagScorer(weights), clip)
    assert found.tags[0] == "speech"
    assert found.scores["tag_confidence"].value == pytest.approx(0.98, abs=0.05)
    logits = found.embeddings["yamnet_logits"]
    assert logits.shape == (521,)
    assert tag_names(weights)[int(logits.argmax())] == "speech"
    silent = clip_of(tmp_path / "b.mp4", sound=np.zeros(48_000))
    assert reason(AudioTagScorer(weights), silent, "tag_confidence") == "not applicable: the sound is silent"


def test_silence_between_sounds_does_not_make_tags_surer(weights, tmp_path):
    sound = np.zeros(4 * SAMPLE_RATE, np.float32)
    sound[8000:10_000] = 0.3 * np.random.default_rng(0).normal(size=2000) * np.exp(-np.arange(2000) / 300)
    clip = clip_of(tmp_path / "a.mp4", sound=sound, sample_rate=SAMPLE_RATE)
    found = score(AudioTagScorer(weights), clip)
    likely = hear(clip.waveform(SAMPLE_RATE), weights)[0].max(axis=0)
    others = [value for name, value in zip(tag_names(weights), likely, strict=True) if name != "silence"]
    assert found.tags[0] == "silence"
    assert likely.max() > max(others)
    assert found.scores["tag_confidence"].value == pytest.approx(max(others))


def test_without_a_folder_it_fails_and_does_not_raise(tmp_path):
    clip = clip_of(tmp_path / "a.mp4", sound=tone(440, 1.0))
    assert reason(AudioTagScorer(None), clip, "tag_confidence").startswith("failed: FileNotFoundError")
