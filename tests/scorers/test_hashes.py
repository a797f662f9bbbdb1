"""Hashes stay through another encoding, and differ for other clips."""

import numpy as np
import pytest

from mova.scorers import hashes
from mova.scorers.hashes import HashScorer, audio_hash, image_hash, words
from shared_scoring import clip_of, score, still, texture
from shared_speech import SAMPLE_RATE, speak


def distance(one, other):
    return sum((a ^ b).bit_count() for a, b in zip(words(one), words(other), strict=True))


def scene(seed):
    return np.stack([np.roll(texture(96, 160, seed, 24), index, axis=1) for index in range(48)])


def test_a_clip_that_was_encoded_smaller_has_nearly_the_same_hashes(tmp_path):
    sound = speak(2.0)
    first = score(HashScorer(), clip_of(tmp_path / "a.mp4", scene(0), sound, SAMPLE_RATE)).fingerprints
    smaller = clip_of(tmp_path / "b.mp4", scene(0)[:, ::2, ::2], 0.5 * sound, SAMPLE_RATE)
    second = score(HashScorer(), smaller).fingerprints
    other = score(HashScorer(), clip_of(tmp_path / "c.mp4", scene(1), speak(2.0, 5), SAMPLE_RATE)).fingerprints
    for name in ("image_hash", "audio_hash"):
        assert len(first[name]) == 16 * hashes.HASH_WORDS
        assert distance(first[name], second[name]) <= 4 * hashes.HASH_WORDS, name
        assert distance(first[name], other[name]) >= 16 * hashes.HASH_WORDS, name


def test_clips_without_detail_and_without_sound_have_no_hash(tmp_path):
    assert score(HashScorer(), clip_of(tmp_path / "a.mp4", still(1.0), np.zeros(48_000))).fingerprints == {}
    assert score(HashScorer(), clip_of(tmp_path / "b.mp4", scene(0)[:24])).fingerprints.keys() == {"image_hash"}
    assert audio_hash(np.zeros(0, np.float32)) == ""


def test_hashes_of_unrelated_noise_differ_in_half_of_their_bits():
    rng = np.random.default_rng(0)
    texts = [audio_hash(rng.normal(size=SAMPLE_RATE).astype(np.float32) * 0.1) for _ in range(6)]
    far = [distance(one, other) for index, one in enumerate(texts) for other in texts[:index]]
    assert np.mean(far) == pytest.approx(128, abs=25)


def test_one_frame_is_enough_for_a_hash():
    assert len(image_hash(scene(0)[:1])) == 64


def test_words_are_the_digits_of_a_hash():
    assert words("0000000000000001" + "f" * 16) == (1, 2**64 - 1)
