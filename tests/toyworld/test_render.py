import numpy as np
import pytest

from mova.errors import GeometryError
from mova.geometry import num_samples
from mova.toyworld import BASIC_KINDS, DEFAULT_KINDS, first_frame, render, sample_scene
from mova.toyworld.vocabulary import BACKGROUND_RGB, COLOUR_RGB


@pytest.mark.parametrize("kind", DEFAULT_KINDS)
@pytest.mark.parametrize(
    ("size", "num_frames", "frame_rate", "sample_rate"),
    [(128, 49, 24.0, 16_000), (64, 13, 30.0, 48_000), ((48, 80), 25, 23.976, 44_100), ((352, 640), 1, 24.0, 48_000)],
)
def test_clip_has_the_asked_shape_and_sound_of_the_same_length(kind, size, num_frames, frame_rate, sample_rate):
    rates = {"num_frames": num_frames, "frame_rate": frame_rate, "sample_rate": sample_rate}
    clip = render(sample_scene(1, kind=kind), size=size, **rates).clip
    height, width = (size, size) if isinstance(size, int) else size
    assert clip.frames.shape == (num_frames, height, width, 3)
    assert clip.frames.dtype == np.uint8
    assert clip.waveform.shape == (1, num_samples(num_frames, frame_rate, sample_rate))
    assert clip.waveform.dtype == np.float32


def test_rendering_twice_gives_the_same_clip():
    one, two = (render(sample_scene(5), size=32) for _ in range(2))
    assert np.array_equal(one.clip.frames, two.clip.frames)
    assert np.array_equal(one.clip.waveform, two.clip.waveform)
    assert (one.caption, one.events) == (two.caption, two.events)


def test_no_clip_is_silent_or_clips():
    for seed in range(150):
        waveform = render(sample_scene(seed, kinds=DEFAULT_KINDS if seed % 2 else BASIC_KINDS), size=16).clip.waveform
        assert 0.3 < np.abs(waveform).max() < 0.9


def test_small_picture_is_the_large_one_averaged():
    for kind in DEFAULT_KINDS:
        scene = sample_scene(2, kind=kind)
        small = render(scene, size=64, num_frames=9).clip.frames.astype(float)
        large = render(scene, size=256, num_frames=9).clip.frames.astype(float)
        averaged = large.reshape(9, 64, 4, 64, 4, 3).mean(axis=(2, 4))
        assert np.abs(averaged - small).mean() < 0.5
        assert np.quantile(np.abs(averaged - small), 0.999) < 30


def test_events_after_the_end_of_a_short_clip_are_not_listed():
    scene = sample_scene(4, kind="mallet")
    rendered = render(scene, size=16, num_frames=13)
    assert [event.time_s for event in rendered.events] == [time_s for time_s in scene.times_s if time_s < 13 / 24]


def test_first_frame_shows_ball_and_background():
    scene = sample_scene(7, kind="ball")
    frame = first_frame(render(scene, size=64).clip)
    x, y = (round(float(position[0]) * 64) for position in scene.positions(np.zeros(1)))
    assert tuple(frame[y, x].tolist()) == COLOUR_RGB[scene.colour]
    assert np.abs(frame[32, 1].astype(int) - BACKGROUND_RGB[scene.background]).max() <= 8


@pytest.mark.parametrize("name", ["num_frames", "frame_rate", "sample_rate"])
def test_render_refuses_counts_and_rates_that_are_not_positive(name):
    with pytest.raises(GeometryError, match="must be above 0, got 0"):
        render(sample_scene(0), **{name: 0})
