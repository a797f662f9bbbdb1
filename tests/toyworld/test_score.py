import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.errors import GeometryError
from mova.toyworld import render, sample_scene, score_clip
from mova.toyworld.scenes.registry import BASIC_KINDS, DEFAULT_KINDS
from mova.toyworld.score import EventCounts, Known, count_events, match_events
from mova.toyworld.vocabulary import BACKGROUND_RGB, COLOURS, FLOOR_RGB
from mova.types import Clip

PASSED = ("material_right", "pitch_right", "place_right", "colour_right", "size_kept", "background_kept", "start_kept")


def _with(clip, frames=None, waveform=None):
    return Clip(
        clip.frames if frames is None else frames,
        clip.waveform if waveform is None else waveform,
        clip.frame_rate,
        clip.sample_rate,
    )


def _failed(score):
    return {name for name in (*PASSED, "landing_right", "order_right") if getattr(score, name) is False}


def _rendered_as(rendered, **changes):
    """The score, against the scene itself, of a clip of the scene with changes."""
    return score_clip(rendered.scene, render(replace(rendered.scene, **changes), size=64).clip)


@pytest.mark.parametrize("kind", BASIC_KINDS)
def test_rendered_clip_passes_everything(rendered, kind):
    for index in range(5):
        clip = rendered(index, kind)
        score = score_clip(clip.scene, clip.clip)
        assert _failed(score) == set()
        assert score.faithful
        assert len(score.offsets_ms) == len(clip.events)
        assert max(map(abs, score.offsets_ms)) < 5


def test_late_sound_gives_positive_offsets(rendered):
    clip = rendered(0, "ball").clip
    late = np.pad(clip.waveform, ((0, 0), (320, 0)))[:, :-320]
    assert np.median(score_clip(rendered(0, "ball").scene, _with(clip, waveform=late)).offsets_ms) == pytest.approx(
        20, abs=2
    )


def test_sound_two_frames_late_matches_nothing(rendered):
    clip = rendered(0, "ball")
    late = np.pad(clip.clip.waveform, ((0, 0), (1334, 0)))[:, :-1334]
    assert score_clip(clip.scene, _with(clip.clip, waveform=late)).offsets_ms == ()


def test_wrong_ball_colour_fails_colour_and_pitch(rendered):
    clip = rendered(1, "ball")
    other = COLOURS[(COLOURS.index(clip.scene.colour) + 2) % 5]
    assert _failed(_rendered_as(clip, colour=other)) == {"colour_right", "pitch_right", "start_kept"}


def test_wrong_material_fails_material_and_background(rendered):
    clip = rendered(1, "ball")
    other = next(material for material in FLOOR_RGB if material != clip.scene.material)
    failed = _failed(_rendered_as(clip, material=other))
    assert "material_right" in failed
    assert "colour_right" not in failed


def test_other_background_fails_the_background_only(rendered):
    for kind in BASIC_KINDS:
        clip = rendered(1, kind)
        other = "pale green" if clip.scene.background != "pale green" else "pale pink"
        assert _failed(_rendered_as(clip, background=other)) == {"background_kept"}


def test_other_height_fails_start_and_landing(rendered):
    clip = rendered(1, "ball")
    other = 0.35 if clip.scene.drop > 0.45 else 0.55
    assert _failed(_rendered_as(clip, drop=other)) == {"start_kept", "landing_right"}


def test_other_size_fails_the_size(rendered):
    clip = rendered(1, "ball")
    other = "large" if clip.scene.size == "small" else "small"
    assert "size_kept" in _failed(_rendered_as(clip, size=other))


def test_vanishing_ball_fails_the_size(rendered):
    clip = rendered(1, "ball")
    frames = clip.clip.frames.copy()
    frames[20:28] = frames[20:28, :, :1]
    assert _failed(score_clip(clip.scene, _with(clip.clip, frames))) == {"size_kept"}


def test_other_order_of_bars_fails_the_order_and_not_the_pitch(rendered):
    clip = rendered(1, "mallet")
    bars = (*clip.scene.bars[:-1], (clip.scene.bars[-1] + 1) % 5)
    failed = _failed(_rendered_as(clip, bars=bars))
    assert "order_right" in failed
    assert "pitch_right" not in failed  # every bar still sounds with its own note


def test_order_is_of_the_mallet_and_place_of_the_ball(rendered):
    ball, mallet = (score_clip(clip.scene, clip.clip) for clip in (rendered(0, "ball"), rendered(1, "mallet")))
    assert (ball.order_right, ball.place_right) == (None, True)
    assert (mallet.order_right, mallet.place_right) == (True, None)


def test_right_notes_on_wrong_bars_fail_the_pitch(rendered):
    clip = rendered(1, "mallet")
    shown = render(replace(clip.scene, bars=tuple(4 - bar for bar in clip.scene.bars)), size=64).clip
    score = score_clip(clip.scene, _with(shown, waveform=clip.clip.waveform))
    assert {"pitch_right", "order_right"} <= _failed(score)
    assert len(score.offsets_ms) == len(clip.events)


@pytest.mark.parametrize("kind", BASIC_KINDS)
def test_still_and_silent_clip_is_reported_as_nothing(rendered, kind):
    clip = rendered(0, kind)
    score = score_clip(clip.scene, Clip(clip.clip.frames[:1].repeat(49, axis=0), None, 24.0, 16_000))
    assert score.nothing_seen
    assert score.nothing_heard
    assert {"material_right", "pitch_right", "place_right" if kind == "ball" else "order_right"} <= _failed(score)
    assert score.faithful


def test_score_is_json_even_without_any_object(rendered):
    clip = rendered(0, "ball")
    score = score_clip(clip.scene, _with(clip.clip, np.full_like(clip.clip.frames, 200)))
    assert not score.start_kept
    assert json.loads(json.dumps(score.to_dict(), allow_nan=False))["start_distance"] is None


def test_first_frame_of_another_size_is_refused(rendered):
    clip = rendered(0)
    with pytest.raises(GeometryError, match="given frame must have the clip's shape"):
        score_clip(clip.scene, clip.clip, first_frame=np.zeros((32, 32, 3), np.uint8))


@pytest.mark.parametrize("kind", DEFAULT_KINDS)
def test_with_a_caption_alone_only_what_it_says_is_measured(rendered, kind):
    clip = rendered(0, kind)
    score = score_clip(clip.scene, clip.clip, known=Known())
    absent = (score.place_right, score.landing_right, score.start_kept, score.background_kept, score.faithful)
    assert absent == (None,) * 5
    assert score.held_psnr is None
    assert score.background_right
    whole = score_clip(clip.scene, clip.clip)
    for name in ("seen_s", "offsets_ms", "pitch_right", "order_right", "vowel_right", "speaker_right", "colour_right"):
        assert getattr(score, name) == getattr(whole, name)
    assert score.size_kept == whole.size_kept
    assert json.loads(json.dumps(score.to_dict(), allow_nan=False))["frame_given"] is False


def test_another_wall_than_the_captions_is_wrong(rendered):
    clip = rendered(0, "keys")
    other = next(name for name in BACKGROUND_RGB if name != clip.scene.background)
    shown = render(replace(clip.scene, background=other), size=64).clip
    assert score_clip(clip.scene, shown, known=Known()).background_right is False


def test_a_ball_that_a_caption_alone_asked_for_may_start_anywhere_and_has_its_size(rendered):
    clip = rendered(0, "ball")
    elsewhere = render(replace(clip.scene, start_x=1 - clip.scene.start_x, drop=0.45), size=64).clip
    score = score_clip(clip.scene, elsewhere, known=Known())
    assert _failed(score) == set()
    sizes = {"small": "large", "medium": "large", "large": "small"}
    other = render(replace(clip.scene, size=sizes[clip.scene.size]), size=64).clip
    assert score_clip(clip.scene, other, known=Known()).size_kept is False


def test_given_frames_are_compared_and_a_first_one_that_is_absent_asks_for_nothing(rendered):
    clip = rendered(0, "ball")
    frames = clip.clip.frames
    last = score_clip(clip.scene, clip.clip, known=Known({48: frames[48]}))
    assert (last.held_psnr, last.background_kept, last.size_kept) == (100.0, True, True)
    assert (last.faithful, last.start_kept, last.landing_right, last.background_right) == (None,) * 4
    both = score_clip(clip.scene, clip.clip, known=Known({0: frames[0], 48: frames[48]}))
    assert both.faithful
    assert both.landing_right
    noisy = frames.copy()
    noisy[48] = np.clip(noisy[48].astype(int) + np.where(np.indices(noisy[48].shape).sum(0) % 2, 5, -5), 0, 255)
    worse = score_clip(clip.scene, _with(clip.clip, noisy), known=Known({0: frames[0], 48: frames[48]}))
    assert 65 < worse.held_psnr < 70, "the mean of 100 dB and of 20 log10(255 / 5) dB"


def test_of_a_clip_that_goes_on_only_what_was_not_given_is_counted(rendered):
    clip = rendered(0, "ball")
    whole = score_clip(clip.scene, clip.clip)
    known = Known(dict(enumerate(clip.clip.frames[:25])), until_s=25 / 24, seams_s=(25 / 24,))
    score = score_clip(clip.scene, clip.clip, known=known)
    later = sum(25 / 24 <= time_s < score.until_s for time_s in whole.seen_s)
    assert 0 < later < len(whole.seen_s)
    assert count_events(score) == EventCounts(later, later, later, later)
    assert score.seams_quiet in (True, None)
    # Silence after what was given is a miss, and not before.
    heard = clip.clip.waveform.copy()
    heard[:, 16_700:] = 0
    silent = count_events(score_clip(clip.scene, _with(clip.clip, waveform=heard), known=known))
    assert (silent.seen_matched, silent.seen, silent.heard) == (0, later, 0)


def test_a_clip_after_whose_given_part_nothing_is_due_counts_nothing():
    scene = sample_scene(0, kind="keys")
    clip = render(scene, size=64).clip
    known = Known({0: clip.frames[0]}, until_s=1.85)
    assert count_events(score_clip(scene, clip, known=known)) == EventCounts(0, 0, 0, 0)


def test_given_frames_that_a_clip_lacks_are_refused(rendered):
    clip = rendered(0)
    with pytest.raises(GeometryError, match="of the clip's 49 frames, got frame 49; nearest is 48"):
        score_clip(clip.scene, clip.clip, known=Known({49: clip.clip.frames[0]}))
    with pytest.raises(GeometryError, match="given frame must have the clip's shape"):
        score_clip(clip.scene, clip.clip, known=Known({48: np.zeros((32, 32, 3), np.uint8)}))


@settings(max_examples=60, deadline=None)
@given(
    first=st.lists(st.floats(0, 2), max_size=8).map(sorted),
    second=st.lists(st.floats(0, 2), max_size=8).map(sorted),
    tolerance=st.floats(0, 0.3),
)
def test_matching_is_one_to_one_within_tolerance_and_symmetric(first, second, tolerance):
    pairs = match_events(first, second, tolerance)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    assert all(abs(first[i] - second[j]) <= tolerance for i, j in pairs)
    assert len(match_events(second, first, tolerance)) == len(pairs)
    unpaired = [t for i, t in enumerate(first) if i not in {i for i, _ in pairs}]
    left = [t for j, t in enumerate(second) if j not in {j for _, j in pairs}]
    assert all(abs(a - b) > tolerance for a in unpaired for b in left)
