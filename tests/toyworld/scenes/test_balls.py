from dataclasses import replace

import numpy as np
import pytest

from mova.toyworld import sample_scene
from mova.toyworld.draw import Viewport
from mova.toyworld.event import REFERENCE_DURATION_S
from mova.toyworld.scenes.balls import LEVEL_SHARE, MIN_GAP_S, RANGE_X
from mova.toyworld.vocabulary import pitch_hz


def test_every_bounce_sounds_with_its_own_balls_colour():
    for seed in range(20):
        scene = sample_scene(seed, kind="balls")
        assert scene.colours[0] != scene.colours[1]
        for event in scene.events(2.0):
            colour = scene.colours[("left", "right").index(event.side)]
            assert (event.colour, event.pitch_hz) == (colour, pitch_hz(scene.material, colour))


def test_events_are_those_of_both_balls_after_their_waits():
    scene = sample_scene(4, kind="balls")
    for side, ball, wait_s in zip(("left", "right"), scene.balls, scene.waits_s, strict=True):
        own = [event for event in scene.events(2.0) if event.side == side]
        alone = ball.events(2.0 - wait_s)
        assert [event.time_s for event in own] == pytest.approx([event.time_s + wait_s for event in alone])
        assert [event.level for event in own] == pytest.approx([LEVEL_SHARE * event.level for event in alone])


def test_one_ball_hangs_until_it_is_let_go():
    scene = replace(sample_scene(4, kind="balls"), waits_s=(0.5, 0.0))
    assert scene.first_side == "right"
    first, later = scene.draw(Viewport.of(64), np.array([0.0, 0.4]))
    assert np.array_equal(first[:, :32], later[:, :32])
    assert not np.array_equal(first[:, 32:], later[:, 32:])


def test_landings_are_apart_and_each_ball_stays_in_its_half():
    firsts = set()
    for seed in range(60):
        scene = sample_scene(seed, kind="balls")
        firsts.add(scene.first_side)
        times = [event.time_s for event in scene.events(REFERENCE_DURATION_S)]
        assert times == sorted(times)
        assert np.diff(times).min() >= MIN_GAP_S
        for ball, (lowest, highest) in zip(scene.balls, RANGE_X, strict=True):
            x, _ = ball.positions(np.array([0.0, REFERENCE_DURATION_S]))
            assert lowest - 1e-9 <= x.min() <= x.max() <= highest + 1e-9
    assert firsts == {"left", "right"}
