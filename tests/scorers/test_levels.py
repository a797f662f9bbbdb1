"""Levels of signals that are known: silence, tones, clipped and shifted ones, and two channels."""

import re

import numpy as np
import pytest

import fill_weights
from mova.scorers import levels
from mova.scorers.levels import LevelScorer
from scorer_records import open_record
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


def test_amplitude_and_loudness_are_those_that_were_recorded():
    record = open_record("arithmetic", "loudness").facts
    makers = {"waveform": fill_weights.waveform, "voice": fill_weights.voice}
    for row in record["rows"]:
        made = re.match(r"fill\.(\w+)\('([^']+)', (\d+), (\d+)\) / 32768 \* ([\d.]+)", row["sound"])
        sound = np.zeros(row["samples"], np.float32)
        if made:
            maker, name, samples, rate, level = made.groups()
            sound = np.asarray(makers[maker](name, int(samples), int(rate)) / 32768 * float(level), np.float32)
        assert levels.amplitude(sound[None]) == pytest.approx(row["rms"], rel=record["tolerance"]["rms_rtol"])
        found = levels.loudness(sound[None], row["rate"])
        if isinstance(row["lufs"], float):
            assert found.value == pytest.approx(row["lufs"], abs=record["tolerance"]["lufs_atol"])
        else:
            # Minus infinity and an error there: what would spoil a mean is a reason here.
            assert found.reason.startswith("not applicable: ")


def test_amplitude_is_of_the_mean_of_the_channels_and_so_is_loudness_by_the_quirk(tmp_path):
    left = tone(997, 1.0, level=0.4)
    for name, pair, level in (
        ("same", (left, left), 0.4),
        ("one", (left, 0 * left), 0.2),
        ("none", (left, -left), 0.0),
    ):
        clip = clip_of(tmp_path / f"{name}.mp4", sound=np.stack(pair))
        assert value(LevelScorer(), clip, "amplitude") == pytest.approx(level / np.sqrt(2), abs=0.01), name
    same, none = (
        clip_of(tmp_path / f"{name}.mp4", sound=np.stack(pair))
        for name, pair in (("a", (left, left)), ("b", (left, -left)))
    )
    both, mono = (value(LevelScorer(is_mono=way), same, "loudness_lufs") for way in (False, True))
    assert both - mono == pytest.approx(3.01, abs=0.05)
    assert value(LevelScorer(), none, "loudness_lufs") == pytest.approx(both, abs=0.5)
    assert reason(LevelScorer(is_mono=True), none, "loudness_lufs").startswith("not applicable: all of the sound")


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
