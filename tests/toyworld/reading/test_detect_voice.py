import numpy as np
import pytest

from mova.errors import GeometryError
from mova.toyworld import render, sample_scene, split_seed
from mova.toyworld.reading.detect_voice import detect_voice
from mova.toyworld.score import match_events
from mova.toyworld.vocabulary import VOICE_HZ


def _rates(clips, wear=lambda waveform, _: waveform):
    rng = np.random.default_rng(5)
    true = found = matched = same = 0
    for clip in clips:
        heard = detect_voice(wear(clip.clip.waveform, rng), clip.clip.sample_rate)
        pairs = match_events([event.time_s for event in clip.events], [event.time_s for event in heard], 0.01)
        true, found, matched = true + len(clip.events), found + len(heard), matched + len(pairs)
        same += sum(
            clip.events[i].timbre == heard[j].timbre and clip.events[i].pitch_hz == VOICE_HZ[heard[j].colour]
            for i, j in pairs
        )
    return matched / true, matched / found, same / matched


def _clips(count, kind="duet", split="validation", **rates):
    return (render(sample_scene(split_seed(split, index), kind=kind), size=16, **rates) for index in range(count))


@pytest.mark.parametrize("kind", ["face", "duet"])
def test_vowels_and_voices_of_40_clips_are_heard_within_10_ms(kind):
    assert min(_rates(_clips(40, kind))) >= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["face", "duet"])
def test_vowels_of_500_held_out_clips_are_heard_within_10_ms(kind):
    assert min(_rates(_clips(500, kind, "heldout"))) >= 0.98


@pytest.mark.parametrize(
    "wear",
    [
        lambda waveform, rng: waveform + rng.normal(0, 0.01, waveform.shape),
        lambda waveform, _: waveform * 0.1,
        lambda waveform, _: np.concatenate([waveform, 0.6 * waveform]),
        lambda waveform, _: np.apply_along_axis(np.convolve, 1, waveform, np.hanning(9) / 4, "same"),
    ],
    ids=["noise", "quiet", "stereo", "muffled"],
)
def test_vowels_are_heard_through_wear(wear):
    assert min(_rates(_clips(16), wear)) >= 0.95


def test_vowels_are_heard_at_48_khz():
    assert min(_rates(_clips(8, sample_rate=48_000))) >= 0.98


def test_ends_and_pitches_are_measured():
    for clip in _clips(10):
        for event, heard in zip(clip.events, detect_voice(clip.clip.waveform, 16_000), strict=True):
            assert heard.end_s == pytest.approx(event.end_s, abs=0.015)
            assert heard.pitch_hz == pytest.approx(event.pitch_hz, rel=0.02)


def test_silence_noise_and_a_steady_voice_say_nothing():
    rng = np.random.default_rng(5)
    assert detect_voice(None, 16_000) == ()
    assert detect_voice(np.zeros((1, 32_666)), 16_000) == ()
    assert detect_voice(np.sin(np.arange(32_666) * 0.05)[None], 16_000) == ()
    for level in (0.001, 0.02, 0.2):
        assert detect_voice(rng.normal(0, level, (1, 32_666)), 16_000) == ()


def test_knocks_are_no_voice():
    knocks = render(sample_scene(0, kind="keys"), size=16).clip.waveform
    assert not [event for event in detect_voice(knocks, 16_000) if event.pitch_hz < 100]
    wood = next(scene for scene in (sample_scene(seed, kind="ball") for seed in range(50)) if scene.material == "wood")
    assert detect_voice(render(wood, size=16).clip.waveform, 16_000) == ()


def test_low_sample_rates_are_refused():
    with pytest.raises(GeometryError, match="8000 or more"):
        detect_voice(np.zeros((1, 4000)), 4000)
