from dataclasses import replace

import numpy as np
import pytest

from mova.toyworld import render, sample_scene, split_seed
from mova.toyworld.scenes.board import DIGIT_VOWELS, VOWEL_S, BoardScene
from mova.toyworld.score import match_events
from mova.toyworld.vocabulary import VOICE_HZ
from mova.toyworld.voice import vowel_sound

HALF_A_FRAME_S = 0.5 / 24


def _shares(pairs, events, found, is_same):
    same = sum(is_same(events[i], found[j]) for i, j in pairs)
    return np.array([len(pairs), len(events), len(pairs), len(found), same, len(pairs)])


def _rates(clips, frames_of=lambda clip: clip.clip.frames, waveform_of=lambda clip: clip.clip.waveform):
    """Shares of digits seen, of those seen that are there, of those right; then the same of digits heard."""
    seen, heard = np.zeros(6), np.zeros(6)
    for clip in clips:
        shown = clip.scene.read(frames_of(clip), 24.0).events
        said = clip.scene.hear(waveform_of(clip), 16_000)
        times = [event.time_s for event in clip.events]
        pairs = match_events(times, [event.time_s for event in shown], HALF_A_FRAME_S)
        seen += _shares(pairs, clip.events, shown, lambda one, other: (one.timbre, one.bar) == (other.sign, other.bar))
        pairs = match_events(times, [event.time_s for event in said], 0.01)
        heard += _shares(
            pairs,
            clip.events,
            said,
            lambda one, other: (one.timbre, one.pitch_hz) == (other.timbre, VOICE_HZ[other.colour]),
        )
    return np.concatenate([seen[::2] / seen[1::2], heard[::2] / heard[1::2]])


def test_digits_of_40_boards_are_seen_and_heard(rendered):
    assert _rates([rendered(index, "board") for index in range(40)]).min() >= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("size", [64, 128])
def test_digits_of_500_held_out_boards_are_seen_and_heard(size):
    clips = (render(sample_scene(split_seed("heldout", index), kind="board"), size=size) for index in range(500))
    assert _rates(clips).min() >= 0.98


def test_digits_are_seen_and_heard_through_wear(rendered, worn):
    rng = np.random.default_rng(5)
    rates = _rates(
        [rendered(index, "board") for index in range(16)],
        lambda clip: worn(clip.clip.frames, clip.scene.seed),
        lambda clip: clip.clip.waveform + rng.normal(0, 0.01, clip.clip.waveform.shape),
    )
    assert rates.min() >= 0.95


def test_the_digit_that_is_written_is_reported_where_it_stands(rendered):
    scene = replace(rendered(0, "board").scene, digits=("7", "0"), times_s=(0.3, 0.9))
    frames = render(scene, size=128).clip.frames
    moved = np.roll(frames, 2, axis=1)
    seen = BoardScene.read(moved, 24.0).events
    assert [(event.sign, event.bar) for event in seen] == [("7", 0), ("0", 1)]
    assert [event.time_s for event in seen] == pytest.approx([0.3, 0.9], abs=0.005)
    assert seen[0].y == pytest.approx(scene.events(2.0)[0].y + 2 / 128, abs=0.004)


def test_a_digit_that_is_there_from_the_start_or_wiped_away_is_no_event(rendered):
    frames = rendered(0, "board").clip.frames
    assert BoardScene.read(frames[-1:].repeat(49, axis=0), 24.0).events == ()
    wiped = np.concatenate([frames, frames[:1].repeat(12, axis=0)])
    assert BoardScene.read(wiped, 24.0).events == ()


@pytest.mark.parametrize("num_frames", [1, 2, 5, 25])
def test_any_pixels_can_be_read(num_frames):
    rng = np.random.default_rng(num_frames)
    for _ in range(10):
        frames = rng.integers(0, 256, (num_frames, 8, 8, 3)).astype(np.uint8).repeat(8, axis=1).repeat(8, axis=2)
        for event in BoardScene.read(frames, 24.0).events:
            assert -0.2 < event.time_s < num_frames / 24


@pytest.mark.parametrize("voice", VOICE_HZ)
@pytest.mark.parametrize("digit", DIGIT_VOWELS)
def test_every_digit_is_understood_in_both_voices(digit, voice):
    since_s = np.arange(round(VOWEL_S * 16_000)) / 16_000
    spoken = [vowel_sound(vowel, VOICE_HZ[voice], since_s, VOWEL_S) for vowel in DIGIT_VOWELS[digit]]
    silence = np.zeros(4000)
    heard = BoardScene.hear(0.5 * np.concatenate([silence, *spoken, silence])[None], 16_000)
    assert [(event.timbre, event.colour) for event in heard] == [(digit, voice)]
