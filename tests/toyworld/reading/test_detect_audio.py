import numpy as np
import pytest

from mova.errors import GeometryError, NumericalError
from mova.toyworld import render, sample_scene, split_seed
from mova.toyworld.reading.detect_audio import detect_audio
from mova.toyworld.scenes.registry import BASIC_KINDS
from mova.toyworld.score import match_events
from mova.toyworld.vocabulary import KEY, TIMBRES

RNG_SEED = 5


def _rates(clips, wear=lambda waveform, _: waveform, timbres=TIMBRES):
    rng = np.random.default_rng(RNG_SEED)
    true = found = matched = same = 0
    for clip in clips:
        heard = detect_audio(wear(clip.clip.waveform, rng), clip.clip.sample_rate, timbres=timbres)
        pairs = match_events([event.time_s for event in clip.events], [event.time_s for event in heard], 0.01)
        true, found, matched = true + len(clip.events), found + len(heard), matched + len(pairs)
        same += sum(
            (clip.events[i].timbre, clip.events[i].colour) == (heard[j].timbre, heard[j].colour) for i, j in pairs
        )
    return matched / true, matched / found, same / matched


def _clips(count, **rates):
    return [
        render(sample_scene(split_seed("validation", index), kind=BASIC_KINDS[index % 2]), size=16, **rates)
        for index in range(count)
    ]


def test_events_of_60_clips_are_heard_within_10_ms_with_timbre_and_note():
    assert min(_rates(_clips(60))) >= 0.98


@pytest.mark.slow
def test_events_of_500_held_out_clips_are_heard_within_10_ms():
    clips = (
        render(sample_scene(split_seed("heldout", index), kind=BASIC_KINDS[index % 2]), size=16) for index in range(500)
    )
    assert min(_rates(clips)) >= 0.98


@pytest.mark.parametrize(
    "wear",
    [
        lambda waveform, rng: waveform + rng.normal(0, 0.005, waveform.shape),
        lambda waveform, _: waveform * 0.1,
        lambda waveform, _: np.concatenate([waveform, 0.6 * waveform]),
        lambda waveform, _: np.apply_along_axis(np.convolve, 1, waveform, np.hanning(9) / 4, "same"),
    ],
    ids=["noise", "quiet", "stereo", "muffled"],
)
def test_events_are_heard_through_wear(wear):
    assert min(_rates(_clips(16), wear)) >= 0.95


def test_events_are_heard_at_48_khz():
    assert min(_rates(_clips(8, sample_rate=48_000))) >= 0.98


def test_notes_of_keys_are_heard_and_told_from_bars():
    timbres = (*TIMBRES, KEY)
    for kind in ("keys", "mallet"):
        for index in range(12):
            clip = render(sample_scene(split_seed("validation", index), kind=kind), size=16)
            heard = detect_audio(clip.clip.waveform, 16_000, timbres=timbres)
            assert [(event.timbre, event.colour) for event in heard] == [
                (event.timbre, event.colour) for event in clip.events
            ]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "timbres"), [("keys", (*TIMBRES, KEY)), ("balls", TIMBRES)])
def test_notes_of_500_held_out_clips_of_keys_and_balls_are_heard_within_10_ms(kind, timbres):
    clips = (render(sample_scene(split_seed("heldout", index), kind=kind), size=16) for index in range(500))
    assert min(_rates(clips, timbres=timbres)) >= 0.98


def test_silence_noise_and_a_steady_tone_have_no_events():
    rng = np.random.default_rng(RNG_SEED)
    tone = 0.5 * np.sin(2 * np.pi * 523 * np.arange(32_666) / 16_000)[None]
    assert detect_audio(None, 16_000) == ()
    assert detect_audio(np.zeros((1, 32_666)), 16_000) == ()
    assert detect_audio(np.zeros((1, 10)), 16_000) == ()
    assert detect_audio(tone, 16_000) == ()
    for level in (0.001, 0.02, 0.2):
        assert detect_audio(rng.normal(0, level, (1, 32_666)), 16_000) == ()


def test_sound_cut_at_the_end_is_no_event():
    clip = _clips(1)[0]
    last = clip.events[-1].time_s
    cut = clip.clip.waveform[:, : int((last + 0.05) * 16_000)]
    assert len(detect_audio(cut, 16_000)) == len(clip.events)


def test_measured_pitch_is_within_a_fifth_of_a_semitone():
    for clip in _clips(20):
        for event, heard in zip(clip.events, detect_audio(clip.clip.waveform, 16_000), strict=True):
            assert abs(12 * np.log2(heard.pitch_hz / event.pitch_hz)) < 0.2


def test_level_follows_the_blow():
    clip = render(sample_scene(3, kind="ball"), size=16)
    levels = [heard.level for heard in detect_audio(clip.clip.waveform, 16_000)]
    quieter = [heard.level for heard in detect_audio(0.5 * clip.clip.waveform, 16_000)]
    assert quieter == pytest.approx([level / 2 for level in levels])


def test_low_sample_rates_and_broken_samples_are_refused():
    with pytest.raises(GeometryError, match="8000 or more"):
        detect_audio(np.zeros((1, 4000)), 4000)
    with pytest.raises(NumericalError, match="got 1 samples"):
        detect_audio(np.where(np.arange(4000) == 7, np.nan, 0.0)[None], 16_000)
