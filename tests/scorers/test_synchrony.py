"""AV-Align as published, counted by hand, and whether clicks belong to what jumps."""

from dataclasses import replace
from itertools import pairwise

import cv2
import librosa
import numpy as np
import pytest

import fill_weights
from mova.media.write import write_clip
from mova.scorers import synchrony
from mova.scorers.clip_media import ClipMedia
from mova.scorers.motion import flow_lengths
from mova.scorers.spectrum import ONSET_HOP, ONSET_RATE, onset_strength, onset_times_s
from mova.scorers.synchrony import SynchronyScorer, av_align
from mova.toyworld import DEFAULT_KINDS, render, sample_scene
from scorer_records import open_record
from shared_scoring import SAMPLE_RATE, clip_of, fading, reason, score, still, tone

TIMES = [0.5, 1.0, 1.5, 2.0]


def jumping(at_s, seconds=2.5):
    """A square of texture that rests, and jumps by eight pixels at each time."""
    square = np.random.default_rng(0).integers(0, 256, (32, 32, 1), dtype=np.uint8)
    frames = still(seconds, (96, 144), 60)
    for index, frame in enumerate(frames):
        jumps = sum(index >= round(24 * time) for time in at_s)
        frame[32:64, 10 + 8 * jumps : 42 + 8 * jumps] = square
    return frames


def clicks(at_s, seconds=2.5):
    sound = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
    burst = fading(tone(1500, 0.2))
    for time in at_s:
        sound[round(time * SAMPLE_RATE) :][: len(burst)] = burst
    return sound


def test_matches_over_the_union_by_hand():
    # 0.50 takes 0.52; 1.00 is 0.05 from 1.05, which is more than a frame at 24; 2.00 takes 2.00.
    assert av_align([0.5, 1.0, 2.0], [0.52, 1.05, 2.0, 3.0], 24) == pytest.approx(2 / 5)
    assert av_align([1.0], [1.0], 24) == 1.0
    assert av_align([1.0], [], 24) == 0.0
    assert av_align([], [], 24) == 0.0


def test_matching_is_greedy_and_the_tolerance_open_as_published():
    # The first onset takes the peak between both, so that the second finds none: the best would match two.
    assert av_align([1.0, 1.06], [1.03, 0.97], 24) == pytest.approx(1 / 3)
    assert av_align([1.0], [1.25], 4) == 0.0
    assert av_align([1.0], [1.249], 4) == 1.0


def test_peaks_are_strict_maxima_of_a_tenth_of_a_pixel():
    motion = np.array([0.5, 0.2, 0.3, 0.1, 0.09, 0.05, 0.1, 0.0, 0.4, 0.4, 0.0, 9.0])
    assert synchrony.motion_peaks_s(motion, 10.0) == pytest.approx([0.2, 0.6])


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    return clip_of(tmp_path_factory.mktemp("sync") / "a.mp4", jumping(TIMES), clicks(TIMES))


def test_clicks_at_the_jumps_align_and_late_ones_do_not(together, tmp_path):
    late = clip_of(tmp_path / "b.mp4", jumping(TIMES), clicks([time + 0.25 for time in TIMES]))
    good, bad = (score(SynchronyScorer(), clip).scores for clip in (together, late))
    assert good["av_align"].value == 1.0
    assert bad["av_align"].value == 0.0
    assert good["onset_motion_correlation"].value > 0.7
    assert bad["onset_motion_correlation"].value < 0.1


def test_motion_may_be_looked_at_in_small(together):
    assert score(SynchronyScorer(64), together).scores["av_align"].value == 1.0


def test_what_does_not_change_correlates_with_nothing(tmp_path):
    silent = clip_of(tmp_path / "a.mp4", jumping(TIMES), 0 * clicks(TIMES))
    assert reason(SynchronyScorer(), silent, "onset_motion_correlation") == "not applicable: the sound does not change"
    motion = np.zeros(60)
    strength = np.random.default_rng(0).random(round(2.5 * ONSET_RATE / ONSET_HOP))
    found = synchrony.onset_motion_correlation(strength, motion, 24.0)
    assert found.reason == "not applicable: the video does not change"


@pytest.mark.parametrize("number", range(3))
def test_every_step_equals_the_record_of_the_original_code(number):
    record = open_record("arithmetic", "av_align")
    facts, near = record.facts["clips"][number], record.facts["tolerance"]
    wanted = {name.rsplit(".", 1)[1]: one.numpy() for name, one in record.tensors.items() if f".{number}." in name}
    frames = fill_weights.hits(
        f"avalign/clip{number}", facts["frames"], facts["height"], facts["width"], facts["events"]
    )
    samples = round(facts["frames"] / facts["fps"] * ONSET_RATE)
    sound = fill_weights.clicks(f"avalign/sound{number}", samples, ONSET_RATE, facts["sounds"])

    motion, strength = flow_lengths(frames[..., ::-1]), onset_strength(sound)
    np.testing.assert_allclose(motion, wanted["flow"], atol=near["flow_atol"])
    rtol, atol = near["onset_strength_rtol"], near["onset_strength_atol"]
    np.testing.assert_allclose(strength, wanted["onset_strength"], rtol=rtol, atol=atol)
    peaks_s, onsets_s = synchrony.motion_peaks_s(motion, facts["fps"]), onset_times_s(strength)
    np.testing.assert_allclose(peaks_s, wanted["video_peaks"], atol=1e-12)
    np.testing.assert_allclose(onsets_s, wanted["onset_times"], atol=near["onset_times"])
    assert av_align(onsets_s, peaks_s, facts["fps"]) == pytest.approx(float(wanted["score"]), abs=near["score"])


def plain_onsets_s(sound):
    """Onsets of (S,) at 44.1 kHz from the definition: rise of the mel spectrum in dB, peaks as librosa picks them."""
    padded = np.pad(sound.astype(np.float64), 1024)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)
    spectra = [np.abs(np.fft.rfft(window * padded[at : at + 2048])) ** 2 for at in range(0, len(sound) + 1, 512)]
    bands = librosa.filters.mel(sr=44_100, n_fft=2048, n_mels=128) @ np.stack(spectra, axis=1)
    decibels = 10 * np.log10(np.maximum(bands, 1e-10))
    decibels = np.maximum(decibels, decibels.max() - 80)
    rise = np.maximum(decibels[:, 1:] - decibels[:, :-1], 0).mean(axis=0)
    # A rise belongs to the later of two spectra, and is moved on by half a window.
    strength = np.concatenate([np.zeros(1 + 2), rise])[: decibels.shape[1]]
    if not strength.any():
        return []
    level = strength - strength.min()
    level = level / level.max()
    found = []
    for at, value in enumerate(level):
        is_highest = value == level[max(0, at - 2) : at + 1].max()
        is_above = value >= level[max(0, at - 8) : at + 9].mean() + 0.07
        if is_highest and is_above and (not found or at - found[-1] > 2):
            found.append(at)
    return [at * 512 / 44_100 for at in found]


def plain_peaks_s(frames, frame_rate):
    """Strict local maxima of at least 0.1 px of the mean length of Farneback's flow into each frame."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    lengths = []
    for before, after in pairwise(grey):
        flow = cv2.calcOpticalFlowFarneback(before, after, None, 0.5, 3, 15, 3, 5, 1.2, 0)
        lengths.append(float(np.sqrt((flow.astype(np.float64) ** 2).sum(axis=2)).mean()))
    lengths.insert(0, lengths[0])
    inner = range(1, len(lengths) - 1)
    return [at / frame_rate for at in inner if max(lengths[at - 1], lengths[at + 1], 0.1 - 1e-12) < lengths[at]]


def plain_av_align(onsets_s, peaks_s, frame_rate):
    left, matched = list(peaks_s), 0
    for onset in onsets_s:
        for peak in left:
            if abs(onset - peak) < 1 / frame_rate:
                left.remove(peak)
                matched += 1
                break
    everything = len(onsets_s) + len(peaks_s) - matched
    return matched / everything if everything else 0.0


@pytest.mark.parametrize("kind", DEFAULT_KINDS)
def test_toy_clips_have_what_a_plain_computation_gives_them_however_their_sound_is_shifted(kind, tmp_path):
    rendered = render(sample_scene(3, kind=kind), size=128, sample_rate=44_100).clip
    found = {}
    for shift_ms in (0, -120, 40, 250):
        shift = round(shift_ms * 44.1)
        sound = np.roll(rendered.waveform, shift, axis=1)
        path = tmp_path / f"{shift_ms}.mp4"
        write_clip(path, replace(rendered, waveform=sound), preset="ultrafast")
        clip = ClipMedia(path)
        onsets_s, peaks_s = plain_onsets_s(clip.waveform(44_100)), plain_peaks_s(clip.frames(), 24.0)
        found[shift_ms] = score(SynchronyScorer(), ClipMedia(path)).scores["av_align"].value
        assert found[shift_ms] == pytest.approx(plain_av_align(onsets_s, peaks_s, 24.0), abs=1e-12), shift_ms
        assert len(onsets_s) >= 2
        assert len(peaks_s) >= 2
    assert len(set(found.values())) > 1


def test_onsets_correlate_best_when_nothing_is_shifted_and_as_well_early_as_late():
    """What happens between two frames is first seen in the later one, so a sound belongs to that one too."""
    rng, rate, count = np.random.default_rng(5), 24.0, 240
    times_s = np.cumsum(rng.uniform(0.3, 0.6, 20))
    motion = np.zeros(count)
    motion[np.ceil(times_s * rate).astype(int)] = 1.0

    def found(shift_s):
        strength = np.zeros(round(count / rate * ONSET_RATE / ONSET_HOP))
        strength[np.ceil((times_s + shift_s) * ONSET_RATE / ONSET_HOP).astype(int)] = 1.0
        return synchrony.onset_motion_correlation(strength, motion, rate).value

    for shift_s in (0.02, 0.04, 0.06):
        assert found(0.0) > found(shift_s)
        assert found(0.0) > found(-shift_s)
        assert found(shift_s) == pytest.approx(found(-shift_s), abs=0.2)
    assert found(0.0) > 0.9
