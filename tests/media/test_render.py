"""Scaling in one pass against scaling in floating point, and against colours first and scaling second."""

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.media.frames import cover, cover_box, orient
from mova.media.media_file import PRECISE
from mova.media.render import Renderer, plan_axis

CENTRE = (0.5, 0.5)


def renderer(size, crop=CENTRE, aspect=1.0, turns=0, mirrored=False):
    return Renderer("film", size, crop, aspect, turns, mirrored, None, 1)


def stored(rgb, pixel_format="yuv420p", full=False):
    frame = av.VideoFrame.from_ndarray(np.clip(np.rint(rgb), 0, 255).astype(np.uint8), format="rgb24")
    to = {"dst_colorspace": "itu709", "dst_color_range": "JPEG" if full else "MPEG", "interpolation": PRECISE}
    return frame.reformat(format=pixel_format, **to)


def in_two_steps(frame, size, crop=CENTRE, aspect=1.0, turns=0, mirrored=False):
    """Colours at the frame's own size, then scaling: twice as exact in place, several times as slow."""
    pixels = frame.to_ndarray(format="rgb24", dst_color_range="JPEG", interpolation=PRECISE)
    return cover(orient(pixels, turns, mirrored=mirrored), size, crop=crop, pixel_aspect=aspect)


def lanczos(length, low, high, count):
    """Return the weights (count, length) of a filter with three lobes, in float64."""
    pitch = (high - low) / count
    width = max(1.0, pitch)
    away = (np.arange(length) + 0.5 - (low + (np.arange(count)[:, None] + 0.5) * pitch)) / width
    weights = np.where(np.abs(away) < 3, np.sinc(away) * np.sinc(away / 3), 0.0)
    return weights / weights.sum(1, keepdims=True)


def in_float(rgb, size):
    left, top, right, bottom = cover_box(rgb.shape[:2], size)
    rows = np.tensordot(lanczos(rgb.shape[0], top, bottom, size[0]), np.clip(np.rint(rgb), 0, 255), 1)
    columns = lanczos(rgb.shape[1], left, right, size[1])
    return np.clip(np.einsum("xw,hwc->hxc", columns, rows), 0, 255)


def psnr(one, other):
    error = np.mean((one.astype(float) - other.astype(float)) ** 2)
    return 10 * np.log10(255**2 / max(error, 1e-9))


def pattern(kind, height, width):
    y, x = np.mgrid[:height, :width].astype(float)
    match kind:
        case "rings":  # finer towards the edges, up to a stripe a pixel
            distance = (x - width / 2) ** 2 + (y - height / 2) ** 2
            return np.repeat(128 + 100 * np.cos(distance * np.pi / width)[..., None], 3, axis=2)
        case "smooth":
            waves = (np.sin(x / width * 9), np.cos(y / height * 7), np.sin((x + y) / width * 5))
            return 128 + 90 * np.stack(waves, -1)
        case "squares":
            is_first = ((x // 19 + y // 11) % 2)[..., None] > 0
            return np.where(is_first, np.array([220.0, 60.0, 40.0]), np.array([30.0, 90.0, 200.0]))
        case _:
            noise = np.fft.rfft2(np.random.default_rng(0).normal(size=(height, width, 3)), axes=(0, 1))
            frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))[..., None]
            natural = np.fft.irfft2(noise / np.maximum(frequency, 2 / width), s=(height, width), axes=(0, 1))
            return 128 + natural / natural.std() * 40


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p10le", "yuv444p", "nv12"])
@pytest.mark.parametrize(
    ("given", "size"),
    [
        ((180, 320), (88, 160)),
        ((180, 320), (160, 88)),
        ((135, 241), (88, 160)),
        ((270, 480), (32, 32)),
        ((68, 120), (88, 160)),
    ],
)
def test_one_pass_is_as_near_to_the_truth_as_two(given, size, pixel_format):
    for kind in ("rings", "smooth", "squares", "natural"):
        rgb = pattern(kind, *given)
        frame, truth = stored(rgb, pixel_format), in_float(rgb, size)
        usual = psnr(in_two_steps(frame, size), truth)
        # Beyond 45 dB the two differ by what they take to lie outside of the frame.
        assert psnr(renderer(size)(frame, 0.0), truth) > min(usual - 1.0, 45.0), kind


@pytest.mark.parametrize("full", [False, True])
def test_ranges_of_colour_are_kept(full):
    bars = np.repeat(np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 0, 255]]]), 16, axis=1)
    shown = renderer((64, 32))(stored(np.repeat(bars, 128, axis=0), "yuv444p", full), 0.0)
    assert np.abs(shown[32, 4::8].astype(int) - bars[0, 8::16]).max() <= 2


@settings(max_examples=25, deadline=None)
@given(
    given=st.tuples(st.integers(60, 130), st.integers(60, 130)),
    size=st.tuples(st.integers(16, 90), st.integers(16, 90)),
    crop=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    aspect=st.sampled_from([1.0, 16 / 15, 0.7]),
    turns=st.integers(0, 3),
    mirrored=st.booleans(),
)
def test_what_is_seen_lies_where_two_passes_put_it(given, size, crop, aspect, turns, mirrored):
    y, x = np.mgrid[: given[0], : given[1]].astype(float)
    frame = stored(
        np.stack([128 + 60 * np.sin(x / 7), 128 + 60 * np.sin(y / 9), 128 + 60 * np.sin((x + 2 * y) / 11)], -1)
    )
    shown = renderer(size, crop, aspect, turns, mirrored)(frame, 0.0)
    usual = in_two_steps(frame, size, crop, aspect, turns, mirrored)
    assert shown.shape == usual.shape == (*size, 3)
    assert psnr(shown, usual) > 30


def test_colours_lie_on_the_shapes_that_they_belong_to():
    rgb = np.full((120, 160, 3), (40.0, 90.0, 200.0))
    rgb[30:90, 40:120] = (220, 110, 30)
    shown = renderer((60, 80))(stored(rgb), 0.0).astype(float)
    red_over_blue, light = shown[..., 0] - shown[..., 2], shown[..., 1]
    for weight in (red_over_blue - red_over_blue[0, 0], light - light[0, 0]):
        places = np.mgrid[:60, :80].reshape(2, -1) @ weight.ravel() / weight.sum()
        assert places == pytest.approx([29.5, 39.5], abs=0.05)


@pytest.mark.parametrize("size", [(90, 160), (36, 64), (20, 20)])
def test_stripes_that_are_too_fine_become_grey(size):
    rgb = np.where(np.arange(640) % 2 == 0, 255.0, 0.0)[None, :, None] * np.ones((360, 1, 3))
    shown = renderer(size)(stored(rgb, "yuv444p"), 0.0).astype(int)
    assert np.abs(shown[:, 2:-2] - 128).max() <= 4


def test_what_needs_no_scaling_or_is_rgb_keeps_its_bits():
    rgb = pattern("natural", 96, 128)
    for frame, size in ((stored(rgb), (96, 128)), (stored(rgb, "gbrp"), (48, 64)), (stored(rgb, "rgb24"), (30, 70))):
        np.testing.assert_array_equal(renderer(size)(frame, 0.0), in_two_steps(frame, size))


def test_frames_may_change_on_the_way():
    render = renderer((48, 64))
    for form in ((96, 128), (120, 128), (120, 144), (96, 128)):
        frame = stored(pattern("smooth", *form))
        assert psnr(render(frame, 0.0), in_two_steps(frame, (48, 64))) > 40


@settings(max_examples=100, deadline=None)
@given(
    length=st.integers(16, 4000),
    part=st.tuples(st.floats(0, 1), st.floats(0.2, 1)),
    count=st.integers(16, 1300),
    step=st.sampled_from([1, 2, 4]),
)
def test_plans_are_whole_numbers_within_the_source(length, part, count, step):
    span = part[1] * length
    low = part[0] * (length - span)
    plan = plan_axis(length, low, low + span, count, step)
    assert 0 <= plan.first < plan.end <= length
    assert plan.first % step == 0
    assert plan.end % step == 0 or plan.end == length
    assert 0 <= plan.offset <= plan.scaled - count
    pitch = (plan.end - plan.first) / plan.scaled
    ends = plan.first + plan.offset * pitch - low, plan.first + (plan.offset + count) * pitch - low - span
    assert max(map(abs, ends)) == pytest.approx(plan.off * pitch, abs=1e-6 * length)
    assert plan.off <= 1.5
