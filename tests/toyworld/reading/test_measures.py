from dataclasses import replace

import numpy as np
import pytest

from mova.toyworld import render, score_clip
from mova.toyworld.reading.measures import nearest_colour
from mova.toyworld.scenes.registry import SCENES
from mova.toyworld.vocabulary import COLOUR_RGB
from mova.types import Clip

MEASURES = (
    "material_right",
    "pitch_right",
    "order_right",
    "vowel_right",
    "speaker_right",
    "place_right",
    "landing_right",
    "colour_right",
    "size_kept",
    "background_kept",
    "start_kept",
)
ABSENT = {
    "ball": {"order_right", "vowel_right", "speaker_right"},
    "mallet": {"vowel_right", "speaker_right", "place_right", "landing_right"},
    "keys": {
        "vowel_right",
        "speaker_right",
        "place_right",
        "landing_right",
        "colour_right",
        "size_kept",
        "start_kept",
    },
    "face": {"material_right", "speaker_right", "place_right", "landing_right", "size_kept", "start_kept"},
    "duet": {"material_right", "place_right", "landing_right", "size_kept", "start_kept"},
    "balls": {"vowel_right", "speaker_right"},
    "board": {"material_right", "speaker_right", "landing_right", "size_kept", "start_kept"},
}


def _failed(score):
    return {name for name in MEASURES if getattr(score, name) is False}


def _shown_as(clip, **changes):
    """The failed measures of a clip of the scene with changes, against the scene itself."""
    return _failed(score_clip(clip.scene, render(replace(clip.scene, **changes), size=64).clip))


def _dubbed(clip, **changes):
    """The failed measures of the clip with the sound of the scene with changes."""
    sound = render(replace(clip.scene, **changes), size=16).clip.waveform
    return _failed(score_clip(clip.scene, Clip(clip.clip.frames, sound, 24.0, 16_000)))


def _swapped(pair):
    return pair[::-1]


@pytest.mark.parametrize("kind", SCENES)
def test_rendered_clips_pass_all_that_their_kind_has(rendered, kind):
    for index in range(4):
        clip = rendered(index, kind)
        score = score_clip(clip.scene, clip.clip)
        assert _failed(score) == set()
        assert {name for name in MEASURES if getattr(score, name) is None} == ABSENT[kind]
        assert score.faithful
        assert len(score.offsets_ms) == len(clip.events)
        assert np.abs(score.offsets_ms).max() < 21
        assert len(score.end_offsets_ms) == (len(clip.events) if kind in ("face", "duet") else 0)


def test_other_keys_fail_the_order(rendered):
    clip = rendered(1, "keys")
    others = tuple((key + 1) % 7 for key in clip.scene.keys)
    assert _shown_as(clip, keys=others) == {"order_right"}
    assert _dubbed(clip, keys=others) == {"order_right", "pitch_right"}


def test_other_vowels_fail_the_order_and_if_only_heard_the_vowel(rendered):
    clip = rendered(1, "face")
    others = tuple({"a": "i", "i": "o", "o": "e", "e": "u", "u": "a"}[vowel] for vowel in clip.scene.vowels)
    assert _shown_as(clip, vowels=others) == {"order_right"}
    assert _dubbed(clip, vowels=others) == {"order_right", "vowel_right"}


def test_the_other_voice_fails_the_pitch(rendered):
    clip = rendered(1, "face")
    assert _shown_as(clip, voice="low" if clip.scene.voice == "high" else "high") == {"pitch_right"}


def test_other_digits_fail_the_order_and_if_only_heard_the_agreement(rendered):
    clip = rendered(1, "board")
    others = tuple(str((int(digit) + 1) % 10) for digit in clip.scene.digits)
    assert _shown_as(clip, digits=others) == {"order_right"}
    assert _dubbed(clip, digits=others) == {"order_right", "vowel_right"}


def test_another_voice_and_another_ink_of_a_board_fail_voice_and_colour(rendered):
    clip = rendered(1, "board")
    ink = "red" if clip.scene.colour != "red" else "blue"
    voice = "low" if clip.scene.voice == "high" else "high"
    assert _shown_as(clip, colour=ink, voice=voice) == {"colour_right", "pitch_right"}


def test_a_board_that_fills_in_another_order_fails_order_and_place(rendered):
    clip = rendered(1, "board")
    mirrored = Clip(clip.clip.frames[:, :, ::-1].copy(), clip.clip.waveform, 24.0, 16_000)
    assert {"order_right", "place_right"} <= _failed(score_clip(clip.scene, mirrored))


def test_another_hat_fails_the_colour(rendered):
    clip = rendered(1, "face")
    assert "colour_right" in _shown_as(clip, hat="red" if clip.scene.hat != "red" else "blue")


def test_the_wrong_speaker_fails(rendered):
    clip = rendered(2, "duet")
    others = tuple("left" if side == "right" else "right" for side in clip.scene.sides)
    assert _shown_as(clip, sides=others) == {"speaker_right"}
    # The right mouths with each other's voices.
    assert _dubbed(clip, voices=_swapped(clip.scene.voices)) == {"speaker_right", "pitch_right"}


def test_sounds_of_the_other_ball_fail_the_pitch_and_the_order(rendered):
    clip = rendered(2, "balls")
    assert _dubbed(clip, colours=_swapped(clip.scene.colours)) == {"pitch_right", "order_right"}


def test_swapped_balls_fail_colour_and_start(rendered):
    clip = rendered(2, "balls")
    assert {"colour_right", "start_kept"} <= _shown_as(clip, colours=_swapped(clip.scene.colours))


def test_the_other_ball_first_fails_order_and_landing(rendered):
    clip = rendered(2, "balls")
    assert {"order_right", "landing_right"} <= _shown_as(clip, waits_s=_swapped(clip.scene.waits_s))


@pytest.mark.parametrize("kind", SCENES)
def test_still_and_silent_clip_passes_nothing_that_needs_events(rendered, kind):
    clip = rendered(0, kind)
    score = score_clip(clip.scene, Clip(clip.clip.frames[:1].repeat(49, axis=0), None, 24.0, 16_000))
    assert score.nothing_seen
    assert score.nothing_heard
    needed = {"material_right", "pitch_right", "order_right", "vowel_right", "speaker_right", "place_right"}
    assert _failed(score) >= needed - ABSENT[kind]
    assert score.faithful


def test_nearest_colour_goes_by_hue_and_knows_no_grey():
    for colour, rgb in COLOUR_RGB.items():
        assert nearest_colour(np.array(rgb)) == colour
        assert nearest_colour(np.array(rgb) * 0.5 + 90) == colour
    assert nearest_colour(np.array([120.0, 118.0, 119.0])) is None
