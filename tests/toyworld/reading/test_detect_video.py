from dataclasses import replace

import numpy as np
import pytest

from mova.errors import ConfigError
from mova.toyworld import render, sample_scene, split_seed
from mova.toyworld.reading.detect_video import detect_video
from mova.toyworld.reading.score import match_events
from mova.toyworld.vocabulary import ALL_KINDS, BASIC_KINDS, COLOUR_RGB, COLOURS

HALF_A_FRAME_S = 0.5 / 24


def _recall_and_precision(clips, frames_of):
    true = found = matched = bars = 0
    for clip in clips:
        events = detect_video(frames_of(clip), 24.0, clip.scene.kind).events
        pairs = match_events(
            [event.time_s for event in clip.events], [event.time_s for event in events], HALF_A_FRAME_S
        )
        true, found, matched = true + len(clip.events), found + len(events), matched + len(pairs)
        bars += sum((clip.events[i].bar, clip.events[i].side) == (events[j].bar, events[j].side) for i, j in pairs)
    return matched / true, matched / found, bars / matched


def test_events_of_60_clips_are_found_within_half_a_frame(rendered):
    clips = [rendered(index, BASIC_KINDS[index % 2]) for index in range(60)]
    assert min(_recall_and_precision(clips, lambda clip: clip.clip.frames)) >= 0.98


def test_events_are_found_through_wear(rendered, worn):
    clips = [rendered(index, BASIC_KINDS[index % 2]) for index in range(24)]
    assert min(_recall_and_precision(clips, lambda clip: worn(clip.clip.frames, clip.scene.seed))) >= 0.95


@pytest.mark.slow
def test_events_of_500_held_out_clips_are_found_within_half_a_frame():
    for size in (64, 128):
        clips = (
            render(sample_scene(split_seed("heldout", index), kind=BASIC_KINDS[index % 2]), size=size)
            for index in range(500)
        )
        assert min(_recall_and_precision(clips, lambda clip: clip.clip.frames)) >= 0.98


@pytest.mark.parametrize("kind", ["keys", "balls"])
def test_events_of_keys_and_balls_are_found(rendered, worn, kind):
    clips = [rendered(index, kind) for index in range(16)]
    assert min(_recall_and_precision(clips, lambda clip: clip.clip.frames)) >= 0.98
    assert min(_recall_and_precision(clips, lambda clip: worn(clip.clip.frames, clip.scene.seed))) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["keys", "balls"])
@pytest.mark.parametrize("size", [64, 128])
def test_events_of_500_held_out_clips_of_keys_and_balls_are_found(kind, size):
    clips = (render(sample_scene(split_seed("heldout", index), kind=kind), size=size) for index in range(500))
    assert min(_recall_and_precision(clips, lambda clip: clip.clip.frames)) >= 0.98


def test_places_of_bounces_are_found(rendered):
    clip = rendered(1, "ball", 128)
    for event, seen in zip(clip.events, detect_video(clip.clip.frames, 24.0, "ball").events, strict=True):
        assert (seen.x, seen.y) == pytest.approx((event.x, event.y), abs=0.005)


def test_other_frame_rates_and_wide_frames_are_read():
    for rates in ({"frame_rate": 30.0, "num_frames": 61}, {"frame_rate": 16.0, "num_frames": 33}):
        for kind in BASIC_KINDS:
            clip = render(sample_scene(11, kind=kind), size=(64, 112), **rates)
            events = detect_video(clip.clip.frames, rates["frame_rate"], kind).events
            assert [event.time_s for event in events] == pytest.approx(
                [event.time_s for event in clip.events], abs=0.01
            )


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_still_worn_and_noise_clips_have_no_events(rendered, worn, kind):
    still = rendered(2, kind).clip.frames[:1].repeat(49, axis=0)
    noise = np.random.default_rng(0).integers(0, 256, still.shape).astype(np.uint8)
    assert detect_video(still, 24.0, kind).events == ()
    assert detect_video(worn(still, 1), 24.0, kind).events == ()
    assert detect_video(noise, 24.0, kind).events == ()
    assert detect_video(still[:1], 24.0, kind).events == ()


def test_a_bounce_in_the_air_is_reported_where_it_is(rendered):
    clip = rendered(4, "ball")
    higher = np.roll(clip.clip.frames, -8, axis=1)
    seen = detect_video(higher, 24.0, "ball").events[0]
    assert seen.y == pytest.approx(clip.events[0].y - 8 / 64, abs=0.01)


def test_unlit_colours_of_the_bars_are_read(rendered):
    unlit = detect_video(rendered(0, "mallet").clip.frames, 24.0, "mallet").bar_rgb
    assert unlit == pytest.approx(np.array([COLOUR_RGB[colour] for colour in COLOURS]), abs=12)


def test_the_bar_that_lights_up_is_reported_not_the_one_that_was_asked_for(rendered):
    scene = rendered(0, "mallet").scene
    other = replace(scene, bars=tuple((bar + 1) % 5 for bar in scene.bars))
    events = detect_video(render(other, size=64).clip.frames, 24.0, "mallet").events
    assert tuple(event.bar for event in events) == other.bars


def test_unknown_kind_is_refused(rendered):
    with pytest.raises(ConfigError, match=r"ball, mallet, .*, got 'piano'"):
        detect_video(rendered(0).clip.frames, 24.0, "piano")
