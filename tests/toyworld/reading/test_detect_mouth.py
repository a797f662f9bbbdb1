import numpy as np
import pytest

from mova.toyworld import render, sample_scene, split_seed
from mova.toyworld.draw import Viewport
from mova.toyworld.reading.detect_mouth import hat_colours, mouth_box, spoken
from mova.toyworld.reading.measures import nearest_colour
from mova.toyworld.scenes.duet import DUET_PLACES
from mova.toyworld.scenes.face import FACE_PLACES
from mova.toyworld.score import match_events

HALF_A_FRAME_S = 0.5 / 24
TIMES_S = np.arange(49) / 24
PLACES = {"face": FACE_PLACES, "duet": DUET_PLACES}


def _rates(clips, frames_of=lambda clip: clip.clip.frames):
    true = found = matched = same = 0
    for clip in clips:
        events = spoken(frames_of(clip), TIMES_S, PLACES[clip.scene.kind])
        pairs = match_events(
            [event.time_s for event in clip.events], [event.time_s for event in events], HALF_A_FRAME_S
        )
        true, found, matched = true + len(clip.events), found + len(events), matched + len(pairs)
        same += sum((clip.events[i].timbre, clip.events[i].side) == (events[j].sign, events[j].side) for i, j in pairs)
    return matched / true, matched / found, same / matched


@pytest.mark.parametrize("kind", ["face", "duet"])
def test_vowels_and_speakers_of_30_clips_are_seen(rendered, kind):
    assert min(_rates([rendered(index, kind) for index in range(30)])) >= 0.98


@pytest.mark.parametrize("kind", ["face", "duet"])
def test_vowels_are_seen_through_wear(rendered, worn, kind):
    clips = [rendered(index, kind) for index in range(16)]
    assert min(_rates(clips, lambda clip: worn(clip.clip.frames, clip.scene.seed))) >= 0.93


@pytest.mark.parametrize("kind", ["face", "duet"])
def test_vowels_are_seen_where_the_lines_of_shut_mouths_fade(rendered, kind):
    def faded(clip):
        """Take away more and more of the line, and leave a speck of it."""
        frames = clip.clip.frames.astype(np.float64)
        rng = np.random.default_rng(clip.scene.seed)
        shut = np.stack([(event.time_s > TIMES_S) | (event.end_s + 0.1 < TIMES_S) for event in clip.events])
        for place in PLACES[kind]:
            own = [event.side == place[3] for event in clip.events]
            when = np.flatnonzero(shut[own].all(axis=0))
            rows, columns = Viewport.of(frames.shape[1]).box(mouth_box(place))
            region = frames[when, rows, columns]
            skin = np.median(region, axis=(1, 2), keepdims=True)
            kept = np.interp(TIMES_S[when], [0.2, 1.2], [1, 0])[:, None, None, None]
            frames[when, rows, columns] = skin + kept * (region - skin)
            speck = rows.start + rng.integers(rows.stop - rows.start, size=(2, len(when)))
            for row in speck:
                frames[when, row, columns.start + rng.integers(columns.stop - columns.start, size=len(when))] = 60
        return frames.round().astype(np.uint8)

    clips = [rendered(index, kind) for index in range(16)]
    assert min(_rates(clips, faded)) >= 0.93


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["face", "duet"])
@pytest.mark.parametrize("size", [64, 128])
def test_vowels_of_500_held_out_clips_are_seen(kind, size):
    clips = (render(sample_scene(split_seed("heldout", index), kind=kind), size=size) for index in range(500))
    assert min(_rates(clips)) >= 0.98


def test_ends_are_seen_within_half_a_frame(rendered):
    for index in range(8):
        clip = rendered(index, "face")
        ends = [event.end_s for event in spoken(clip.clip.frames, TIMES_S, FACE_PLACES)]
        assert ends == pytest.approx([event.end_s for event in clip.events], abs=HALF_A_FRAME_S)


@pytest.mark.parametrize("kind", ["face", "duet"])
def test_still_noise_and_very_short_clips_say_nothing(rendered, worn, kind):
    still = rendered(2, kind).clip.frames[:1].repeat(49, axis=0)
    noise = np.random.default_rng(0).integers(0, 256, still.shape).astype(np.uint8)
    for frames in (still, worn(still, 1), noise, still[:1]):
        assert spoken(frames, TIMES_S[: len(frames)], PLACES[kind]) == ()


def test_mouth_that_is_open_when_the_clip_ends_has_no_end(rendered):
    clip = rendered(1, "face")
    last = clip.events[-1]
    stop = int(24 * last.end_s) + 1
    events = spoken(clip.clip.frames[:stop], TIMES_S[:stop], FACE_PLACES)
    assert len(events) == len(clip.events)
    assert events[-1].end_s is None
    assert events[-1].time_s == pytest.approx(last.time_s, abs=HALF_A_FRAME_S)


@pytest.mark.parametrize("num_frames", [5, 9, 25])
def test_any_pixels_can_be_read(num_frames):
    rng = np.random.default_rng(num_frames)
    for _ in range(20):
        coarse = rng.integers(0, 256, (num_frames, 8, 8, 3)).astype(np.uint8)
        frames = coarse.repeat(8, axis=1).repeat(8, axis=2)
        for event in spoken(frames, TIMES_S[:num_frames], DUET_PLACES):
            assert -0.2 < event.time_s < num_frames / 24


def test_hats_are_read_from_the_left(rendered):
    clip = rendered(1, "duet")
    assert tuple(nearest_colour(rgb) for rgb in hat_colours(clip.clip.frames, DUET_PLACES)) == clip.scene.hats


def test_mouth_stays_in_its_box(rendered):
    clip = rendered(0, "face")
    changed = (clip.clip.frames != clip.clip.frames[0]).any(axis=(0, 3))
    changed[Viewport.of(64).box(mouth_box(FACE_PLACES[0]))] = False
    assert not changed.any()
