import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.errors import GeometryError
from mova.toyworld.draw import Viewport, discs, ellipses, fill_below, paint, rods, rounded_box


@settings(max_examples=40, deadline=None)
@given(x=st.floats(20, 44), y=st.floats(20, 44), radius=st.floats(2.5, 12))
def test_disc_has_the_right_area_and_centre(x, y, radius):
    patch = discs(np.array([x]), np.array([y]), radius)
    coverage = patch.coverage[0].astype(np.float64)
    rows, columns = np.indices(coverage.shape) + 0.5
    assert coverage.sum() == pytest.approx(np.pi * radius**2, rel=0.03)
    assert (coverage * (columns + patch.columns[0])).sum() / coverage.sum() == pytest.approx(x, abs=0.06)
    assert (coverage * (rows + patch.rows[0])).sum() / coverage.sum() == pytest.approx(y, abs=0.06)
    assert max(coverage[0].max(), coverage[-1].max(), coverage[:, 0].max(), coverage[:, -1].max()) == 0


@settings(max_examples=40, deadline=None)
@given(half_width=st.floats(2, 12), half_height=st.floats(2, 12), x=st.floats(20, 44))
def test_ellipse_has_the_right_area_and_centre(half_width, half_height, x):
    patch = ellipses(np.array([x]), np.array([30.2]), np.array([half_width]), np.array([half_height]))
    coverage = patch.coverage[0].astype(np.float64)
    rows, columns = np.indices(coverage.shape) + 0.5
    assert coverage.max() <= 1 + 1e-6
    assert coverage.sum() == pytest.approx(np.pi * half_width * half_height, rel=0.04)
    assert (coverage * (columns + patch.columns[0])).sum() / coverage.sum() == pytest.approx(x, abs=0.12)
    assert (coverage * (rows + patch.rows[0])).sum() / coverage.sum() == pytest.approx(30.2, abs=0.12)


def test_ellipse_thinner_than_a_pixel_keeps_its_area():
    for half_height in (0.1, 0.3, 0.6):
        patch = ellipses(np.array([30.3]), np.array([30.2]), np.array([6.0]), np.array([half_height]))
        assert patch.coverage.sum() == pytest.approx(np.pi * 6 * half_height, rel=0.02)


def test_rod_covers_length_times_thickness_even_when_thinner_than_a_pixel():
    for radius in (0.3, 1.0, 2.0):
        patch = rods(np.array([10.3]), np.array([50.2]), (18.0, -30.0), radius)
        expected = np.hypot(18, 30) * 2 * radius + np.pi * radius**2
        assert patch.coverage.sum() == pytest.approx(expected, rel=0.35 if radius < 0.5 else 0.06)


def test_box_covers_its_area_less_the_corners():
    _, _, coverage = rounded_box(64, 64, (10.3, 20.1, 30.6, 41.7), 4.0)
    assert coverage.sum() == pytest.approx(20.3 * 21.6 - (4 - np.pi) * 16, rel=0.02)


def test_paint_clips_at_every_border():
    frames = np.zeros((4, 32, 32, 3), np.uint8)
    centres = np.array([0.0, 16.0, 16.0, -50.0]), np.array([16.0, 0.0, 32.0, -50.0])
    paint(frames, discs(*centres, 5.0), (200, 100, 50))
    covered = (frames[..., 0] / 200).sum(axis=(1, 2))
    assert covered[:3] == pytest.approx(np.pi * 25 / 2, rel=0.03)
    assert covered[3] == 0
    assert frames[0, 16, 0].tolist() == [200, 100, 50]


def test_fill_below_mixes_the_row_at_the_edge():
    canvas = np.zeros((4, 2, 3), np.float32)
    fill_below(canvas, 1.75, (100, 100, 100))
    assert canvas[:, 0, 0].tolist() == [0, 25, 100, 100]


def test_viewport_centres_the_square_in_wide_and_tall_frames():
    assert (float(Viewport.of((64, 96)).x(0.5)), float(Viewport.of((64, 96)).y(0.0))) == (48.0, 0.0)
    assert (float(Viewport.of((96, 64)).x(1.0)), float(Viewport.of((96, 64)).y(0.5))) == (64.0, 48.0)


def test_viewport_refuses_frames_below_16_pixels():
    with pytest.raises(GeometryError, match="got 8 x 64; nearest is 16 x 64"):
        Viewport.of((8, 64))
