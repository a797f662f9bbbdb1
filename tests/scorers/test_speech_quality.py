"""Opinions of speech: the package's own numbers, worse for noise and gaps, and only where somebody speaks."""

import numpy as np
import pytest
from speechmos import dnsmos as package

import fill_weights
from mova.scorers import speech_quality
from mova.scorers.speech_quality import SpeechQualityScorer
from scorer_records import open_record
from shared_scoring import clip_of, reason, score, tone
from shared_speech import SAMPLE_RATE, speak


@pytest.fixture(scope="module")
def speech():
    # One window of DNSMOS: shorter sound is repeated to 16 s, in which there are seven.
    return speak(9.02)


def test_the_four_scores_are_those_of_the_package(speech):
    theirs = package.run(speech.astype(np.float64), SAMPLE_RATE)
    ours = speech_quality.dnsmos(speech)
    assert ours["dnsmos_p808"] == pytest.approx(theirs["p808_mos"], abs=1e-4)
    assert ours["dnsmos_sig"] == pytest.approx(theirs["sig_mos"], abs=1e-4)
    assert ours["dnsmos_bak"] == pytest.approx(theirs["bak_mos"], abs=1e-4)
    assert ours["dnsmos_ovrl"] == pytest.approx(theirs["ovrl_mos"], abs=1e-4)


def test_noise_makes_the_background_worse_and_gaps_make_plcmos_worse(speech):
    noisy = np.clip(speech + 0.1 * np.random.default_rng(0).normal(size=len(speech)), -1, 1).astype(np.float32)
    assert speech_quality.dnsmos(noisy)["dnsmos_bak"] < speech_quality.dnsmos(speech)["dnsmos_bak"] - 0.5
    lost = speech.copy()
    for start in range(0, len(lost), SAMPLE_RATE // 5):
        lost[start : start + SAMPLE_RATE // 20] = 0.0
    assert speech_quality.plcmos(lost) < speech_quality.plcmos(speech)


def test_plcmos_is_the_same_every_time_and_leaves_numpy_alone(speech):
    np.random.seed(1)
    first = speech_quality.plcmos(speech)
    assert np.random.normal() == pytest.approx(1.6243453636632417), "the global generator was drawn from"
    assert speech_quality.plcmos(speech) == first


def test_speech_is_scored_and_other_sounds_have_a_reason(tmp_path, speech):
    spoken = score(SpeechQualityScorer(), clip_of(tmp_path / "a.mp4", sound=speech, sample_rate=SAMPLE_RATE))
    assert all(1.0 <= one.value <= 5.0 for one in spoken.scores.values())
    music = clip_of(tmp_path / "b.mp4", sound=tone(440, 2.0))
    assert reason(SpeechQualityScorer(), music, "plcmos") == "not applicable: speech fills 0%, less than 10 %"


def test_by_the_quirk_every_sound_is_judged(tmp_path):
    music = clip_of(tmp_path / "b.mp4", sound=tone(440, 9.02))
    assert score(SpeechQualityScorer(of_all=True), music).scores["dnsmos_p808"].value is not None


def test_the_scores_are_those_that_were_recorded():
    record = open_record("arithmetic", "dnsmos").facts
    # Both ways of a sound's length: 8.04 s are doubled and have seven windows, 10 s have one.
    for row, sound in zip(
        record["rows"],
        (
            fill_weights.voice("dnsmos/voice", 128_667, SAMPLE_RATE),
            fill_weights.waveform("dnsmos/waveform", 160_000, SAMPLE_RATE),
        ),
        strict=True,
    ):
        found = speech_quality.dnsmos(np.asarray(sound / 32768, np.float32))
        for ours, theirs in (("p808", "p808_mos"), ("sig", "sig_mos"), ("bak", "bak_mos"), ("ovrl", "ovrl_mos")):
            assert found[f"dnsmos_{ours}"] == pytest.approx(row["speechmos"][theirs], abs=record["tolerance"]["atol"])


@pytest.mark.parametrize("network", [speech_quality.dnsmos, speech_quality.plcmos])
def test_no_sample_is_an_error_and_not_a_loop_without_end(network):
    with pytest.raises(ValueError, match="at least one sample, got none"):
        network(np.zeros(0, np.float32))
