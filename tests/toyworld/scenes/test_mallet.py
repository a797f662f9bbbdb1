import numpy as np
import pytest

from mova.toyworld import sample_scene
from mova.toyworld.draw import Viewport
from mova.toyworld.scenes.mallet import BAR_TOP, GLOW_DECAY_S, HEAD_RADIUS, STRIKE_SPEED, MalletScene, bar_shape, bar_x

SCENE = MalletScene(seed=1, background="pale blue", bars=(2, 0, 4), times_s=(0.3, 0.71, 1.2))


def test_head_touches_the_bar_exactly_at_each_strike():
    x, y = SCENE.positions(np.asarray(SCENE.times_s))
    assert x == pytest.approx([bar_x(2), bar_x(0), bar_x(4)])
    assert y == pytest.approx(BAR_TOP - HEAD_RADIUS)


def test_head_arrives_and_leaves_at_the_strike_speed():
    step = 1e-5
    for strike_s in SCENE.times_s:
        before, at, after = SCENE.positions(strike_s + np.array([-step, 0.0, step]))[1]
        assert (at - before) / step == pytest.approx(STRIKE_SPEED, rel=0.01)
        assert (after - at) / step == pytest.approx(-STRIKE_SPEED, rel=0.01)


def test_path_has_no_jumps():
    times_s = np.linspace(0, 2, 20_001)
    x, y = SCENE.positions(times_s)
    assert np.abs(np.diff(x)).max() < 5e-4
    assert np.abs(np.diff(y)).max() < 2.5e-4


def test_head_starts_raised_above_its_first_bar_and_rests_raised():
    x, y = SCENE.positions(np.array([0.0, 2.0]))
    assert x == pytest.approx([bar_x(2), bar_x(4)])
    assert y == pytest.approx(BAR_TOP - HEAD_RADIUS - 0.2)


def test_bar_lights_up_at_the_strike_and_fades():
    glow = SCENE.glow(2, np.array([0.299, 0.3, 0.3 + GLOW_DECAY_S]))
    assert glow == pytest.approx([0, 1, np.exp(-1)])
    assert not SCENE.glow(1, np.linspace(0, 2, 50)).any()


def test_only_the_struck_bar_changes_its_pixels():
    viewport = Viewport.of(64)
    before, after = SCENE.draw(viewport, np.array([0.0, 0.3])).astype(int)
    rows, columns, _ = bar_shape(viewport, 2)
    assert np.abs(after - before)[rows, columns].mean() > 30
    rows, columns, _ = bar_shape(viewport, 3)
    assert np.array_equal(before[rows, columns][4:], after[rows, columns][4:])


def test_no_bar_is_struck_twice_in_a_row_and_intervals_are_in_range():
    for seed in range(100):
        scene = sample_scene(seed, kind="mallet")
        assert all(one != other for one, other in zip(scene.bars, scene.bars[1:], strict=False))
        intervals = np.diff(scene.times_s)
        assert intervals.min() >= 0.28
        assert intervals.max() <= 0.6
        assert 0.25 <= scene.times_s[0] <= 0.5
