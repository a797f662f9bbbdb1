"""Cuts are found at the exact frame; without cuts there are none."""

import numpy as np
import pytest

from footage_kit import shots, steady_ticks, write_video
from mova.media.measures.shots import AdaptiveShots, ContentShots
from mova.media.transcode.survey import survey_video


def cuts_of(frames, threshold=3.0, min_frames=12):
    finder = AdaptiveShots(threshold, min_frames)
    for frame in frames:
        finder.add(frame)
    return finder.cuts()


def test_a_cut_is_found_at_its_frame():
    assert cuts_of(shots(4.0, [1.5, 1.0, 1.5])) == [36, 60]


def test_one_shot_has_no_cut_and_neither_has_nothing():
    assert cuts_of(shots(2.0, [9.0])) == []
    assert cuts_of([]) == []


def pan(seed, num_frames, saturation=1.0):
    """Return frames (144, 256, 3) of a view that goes over a texture."""
    random = np.random.default_rng(seed)
    texture = np.zeros((144, 2 * num_frames + 256, 3))
    for size, contrast in ((32, 60), (8, 40), (2, 25)):
        blocks = random.standard_normal((144 // size + 1, texture.shape[1] // size + 1, 3))
        texture += contrast * np.kron(blocks, np.ones((size, size, 1)))[:144, : texture.shape[1]]
    grey = texture.mean(axis=2, keepdims=True)
    texture = np.clip(grey + 120 + saturation * (texture - grey), 0, 255).astype(np.uint8)
    return [texture[:, 2 * index : 2 * index + 256] for index in range(num_frames)]


def test_a_turn_of_the_hue_of_grey_is_no_cut():
    frames, tints = pan(1, 48, saturation=0.0), np.array([[2, 0, 0], [0, 0, 2]])
    for index, frame in enumerate(frames):
        frames[index] = np.clip(frame.astype(int) + tints[index // 24], 0, 255).astype(np.uint8)
    assert cuts_of(frames) == []


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.webm", "libvpx-vp9", {"crf": "63", "b": "0", "cpu-used": "5", "lag-in-frames": "16"}),
        ("a.mp4", "libx264", {"crf": "48", "sc_threshold": "0", "bf": "3"}),
    ],
)
def test_key_frames_of_little_data_are_no_cuts(tmp_path, name, codec, options):
    frames = pan(5, 60, 0.05) + pan(6, 60, 0.05)
    path = tmp_path / name
    write_video(path, frames, *steady_ticks(24, 5.0), codec=codec, gop=24, codec_options=options)
    finder = AdaptiveShots(3.0, 12)
    survey_video(path, finder.width, finder.add)
    assert finder.cuts() == [60]


@pytest.mark.parametrize(("min_frames", "cuts"), [(6, [24, 36]), (30, [36])])
def test_cuts_lie_apart(min_frames, cuts):
    assert cuts_of(shots(3.0, [1.0, 0.5, 9.0]), min_frames=min_frames) == cuts


def test_a_fixed_amount_of_change_is_a_cut_too():
    finder = ContentShots()
    for frame in shots(4.0, [1.5, 1.0, 1.5]):
        finder.add(frame)
    assert finder.cuts() == [36, 60]
    assert ContentShots().cuts() == []
