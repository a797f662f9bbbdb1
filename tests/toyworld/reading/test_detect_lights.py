from dataclasses import replace

import numpy as np
import pytest

from found_events import recall_and_precision
from mova.toyworld import render, sample_scene, split_seed
from mova.toyworld.scenes.registry import SCENES
from mova.toyworld.vocabulary import COLOUR_RGB, COLOURS


@pytest.mark.parametrize(("kind", "count"), [("mallet", 30), ("keys", 16)])
def test_events_are_found_within_half_a_frame(rendered, worn, kind, count):
    clips = [rendered(index, kind) for index in range(count)]
    assert min(recall_and_precision(clips, lambda clip: clip.clip.frames)) >= 0.98
    assert min(recall_and_precision(clips[:16], lambda clip: worn(clip.clip.frames, clip.scene.seed))) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mallet", "keys"])
@pytest.mark.parametrize("size", [64, 128])
def test_events_of_500_held_out_clips_are_found(kind, size):
    clips = (render(sample_scene(split_seed("heldout", index), kind=kind), size=size) for index in range(500))
    assert min(recall_and_precision(clips, lambda clip: clip.clip.frames)) >= 0.98


def test_unlit_colours_of_the_bars_are_read(rendered):
    unlit = SCENES["mallet"].read(rendered(0, "mallet").clip.frames, 24.0).colours
    assert unlit == pytest.approx(np.array([COLOUR_RGB[colour] for colour in COLOURS]), abs=12)


def test_the_bar_that_lights_up_is_reported_not_the_one_that_was_asked_for(rendered):
    scene = rendered(0, "mallet").scene
    other = replace(scene, bars=tuple((bar + 1) % 5 for bar in scene.bars))
    events = SCENES["mallet"].read(render(other, size=64).clip.frames, 24.0).events
    assert tuple(event.bar for event in events) == other.bars
