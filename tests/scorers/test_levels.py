"""Levels of signals that are known: silence, tones, clipped and shifted ones, and two channels."""

import numpy as np
import pytest

from mova.scorers import levels
from mova.scorers.levels import LevelScorer
from shared_scoring import clip_of, reason, score, tone, value

RATE = levels.SAMPLE_RATE


def test_half_a_clip_of_silence_is_half_silent_and_has_its_span(tmp_path):
    sound = np.concatenate([np.zeros(RATE), tone(440, 1.0)])
    found = score(LevelScorer(), clip_of(tmp_path / "a.mp4", sound=sound))
    assert found.scores["silence_share"].value == pytest.approx(0.5, abs=0.03)
    ((start, end),) = found.spans["silence"]
    assert (start, end) == pytest.approx((0.0, 1.0), abs=0.05)


def test_noise_below_50_db_is_silence_and_above_it_is_not():
    quiet = 10 ** (-52 / 20) * np.sqrt(2) * tone(440, 1.0, level=1.0)[None]
    assert levels.silent_blocks(quiet, RATE).all()
    assert not levels.silent_blocks(2 * quiet, RATE).any()
    assert not levels.silent_blocks(np.concatenate([quiet, 2 * quiet]), RATE).any(), "one channel is enough"


def test_short_pauses_are_no_spans_of_silence():
    flags = np.array([1, 1, 0, 1, 1, 1, 0, 1], bool)
    assert levels.runs(flags, 0.1, 0.25) == (pytest.approx((0.3, 0.6)),)
    assert levels.runs(np.zeros(5, bool), 0.1, 0.1) == ()
    assert levels.runs(np.ones(5, bool), 0.1, 0.1) == (pytest.approx((0.0, 0.5)),)


def test_loudness_of_a_full_scale_tone_is_what_bs_1770_says():
    assert levels.loudness(tone(997, 3.0, level=1.0)[None], RATE).value == pytest.approx(-3.01, abs=0.05)
    assert levels.loudness(tone(997, 3.0, level=0.1)[None], RATE).value == pytest.approx(-23.01, abs=0.05)
    both = np.stack([tone(997, 3.0, level=0.1)] * 2)
    assert levels.loudness(both, RATE).value == pytest.approx(-20.0, abs=0.05)


def test_silence_and_short_sounds_have_a_reason_instead_of_a_loudness(tmp_path):
    silent = clip_of(tmp_path / "silent.mp4", sound=np.zeros(RATE))
    assert reason(LevelScorer(), silent, "loudness_lufs").startswith("not applicable: all of the sound is below")
    assert value(LevelScorer(), silent, "silence_share") == 1.0
    faint = 1e-5 * tone(440, 1.0)[None]
    assert levels.loudness(faint, RATE).reason.startswith("not applicable: all of the sound is below")
    assert levels.loudness(tone(440, 0.3)[None], RATE).reason == (
        "not applicable: loudness needs at least 0.4 s of sound"
    )


def test_a_clipped_tone_is_clipped_and_one_at_full_scale_is_not():
    assert levels.clipping_share(tone(440, 1.0, level=1.0)[None]) == 0.0
    cut = np.clip(tone(440, 1.0, level=2.0), -1, 1)[None]
    # A sine of twice the height is above 1 for two thirds of the time.
    assert levels.clipping_share(cut) == pytest.approx(2 / 3, abs=0.02)
    assert levels.clipping_share(np.concatenate([cut, 0 * cut])) == pytest.approx(1 / 3, abs=0.01)


def test_an_offset_is_found_in_the_channel_that_has_it(tmp_path):
    sound = np.stack([tone(440, 1.0), tone(440, 1.0) - 0.1])
    assert value(LevelScorer(), clip_of(tmp_path / "a.mp4", sound=sound), "dc_offset") == pytest.approx(0.1, abs=0.01)


def test_phase_tells_the_same_from_the_opposite_and_the_unrelated(tmp_path):
    left, right = tone(440, 1.0), tone(660, 1.0)
    for name, pair, expected in (
        ("same", (left, left), 1),
        ("opposite", (left, -left), -1),
        ("other", (left, right), 0),
    ):
        found = value(LevelScorer(), clip_of(tmp_path / f"{name}.mp4", sound=np.stack(pair)), "phase_correlation")
        assert found == pytest.approx(expected, abs=0.03), name
    assert levels.phase_correlation(np.stack([left, 0 * left])).reason == "not applicable: a channel is silent"
    mono = clip_of(tmp_path / "mono.mp4", sound=left)
    assert reason(LevelScorer(), mono, "phase_correlation") == "not applicable: the sound has one channel"


def test_a_clip_without_audio_has_a_reason_for_every_measure(tmp_path):
    frames = np.full((24, 64, 96, 3), 90, np.uint8)
    found = score(LevelScorer(), clip_of(tmp_path / "a.mp4", frames))
    assert {one.reason for one in found.scores.values()} == {"not applicable: the clip has no audio"}
