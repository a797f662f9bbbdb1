import numpy as np
import pytest

from found_events import recall_and_precision
from mova.toyworld import render, sample_scene, split_seed
from mova.toyworld.scenes.registry import SCENES


@pytest.mark.parametrize(("kind", "count"), [("ball", 30), ("balls", 16)])
def test_events_are_found_within_half_a_frame(rendered, worn, kind, count):
    clips = [rendered(index, kind) for index in range(count)]
    assert min(recall_and_precision(clips, lambda clip: clip.clip.frames)) >= 0.98
    assert min(recall_and_precision(clips[:16], lambda clip: worn(clip.clip.frames, clip.scene.seed))) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ball", "balls"])
@pytest.mark.parametrize("size", [64, 128])
def test_events_of_500_held_out_clips_are_found(kind, size):
    clips = (render(sample_scene(split_seed("heldout", index), kind=kind), size=size) for index in range(500))
    assert min(recall_and_precision(clips, lambda clip: clip.clip.frames)) >= 0.98


def test_places_of_bounces_are_found(rendered):
    clip = rendered(1, "ball", 128)
    for event, seen in zip(clip.events, SCENES["ball"].read(clip.clip.frames, 24.0).events, strict=True):
        assert (seen.x, seen.y) == pytest.approx((event.x, event.y), abs=0.005)


def test_a_bounce_in_the_air_is_reported_where_it_is(rendered):
    clip = rendered(4, "ball")
    higher = np.roll(clip.clip.frames, -8, axis=1)
    seen = SCENES["ball"].read(higher, 24.0).events[0]
    assert seen.y == pytest.approx(clip.events[0].y - 8 / 64, abs=0.01)
