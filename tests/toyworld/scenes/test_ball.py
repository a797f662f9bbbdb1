from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.toyworld import sample_scene
from mova.toyworld.scenes.ball import FLOOR_Y, GRAVITY, MIN_IMPACT_SPEED, MIN_LEVEL

SCENE = replace(sample_scene(3, kind="ball"), drop=0.4, restitution=0.85, speed_x=0.05, start_x=0.4)


def test_ball_touches_the_floor_exactly_at_the_contacts():
    times, _ = SCENE.contacts()
    x, y = SCENE.positions(times)
    assert y == pytest.approx(FLOOR_Y - SCENE.radius, abs=1e-12)
    assert x == pytest.approx(0.4 + 0.05 * times)


def test_ball_is_above_the_floor_between_contacts():
    times, _ = SCENE.contacts()
    between = (times[1:] + times[:-1]) / 2
    assert (SCENE.positions(between)[1] < SCENE.rest_y - 0.005).all()


def test_flight_follows_gravity():
    times, speeds = SCENE.contacts()
    instants = times[0] + np.array([0.1, 0.2])
    heights = SCENE.rest_y - SCENE.positions(instants)[1]
    since = instants - times[0]
    assert heights == pytest.approx(0.85 * speeds[0] * since - GRAVITY / 2 * since**2)


def test_each_bounce_keeps_the_restitution_of_the_speed():
    _, speeds = SCENE.contacts()
    assert speeds[1:] / speeds[:-1] == pytest.approx(0.85)


@settings(max_examples=50, deadline=None)
@given(restitution=st.floats(0.01, 0.99), drop=st.floats(0.05, 0.7))
def test_contacts_end_and_the_ball_then_lies_still(restitution, drop):
    scene = replace(SCENE, restitution=restitution, drop=drop)
    times, speeds = scene.contacts()
    assert (speeds[1:] >= MIN_IMPACT_SPEED * (1 - 1e-9)).all()
    x, y = scene.positions(times[-1] + np.array([0.3, 5.0, 50.0]))
    assert y == pytest.approx(scene.rest_y)
    assert x == pytest.approx(x[0])


def test_louder_impacts_are_faster_and_within_9_db():
    levels = [event.level for event in SCENE.events(10.0)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] / levels[-1] <= 10 ** (9 / 20) + 1e-9
    assert levels[-1] >= MIN_LEVEL


def test_first_frame_hides_the_restitution():
    other = replace(SCENE, restitution=0.91, speed_x=-0.02)
    from mova.toyworld.draw import Viewport

    first = [scene.draw(Viewport.of(64), np.zeros(1)) for scene in (SCENE, other)]
    assert np.array_equal(*first)
