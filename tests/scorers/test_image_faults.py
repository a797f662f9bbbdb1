"""Scores of black, frozen, blurred and blocky clips, and the reasons where there is nothing to measure."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from mova.scorers.image_faults import ImageFaultScorer
from shared_scoring import clip_of, reason, score, still, texture, value


def moving(seconds=1.0, size=(96, 128), image=None):
    image = texture(*size) if image is None else image
    return np.stack([np.roll(image, 4 * index, axis=1) for index in range(round(seconds * 24))])


def test_half_a_clip_of_black_is_half_black(tmp_path):
    frames = np.concatenate([moving(), still(1.0, (96, 128), 0)])
    clip = clip_of(tmp_path / "a.mp4", frames)
    assert value(ImageFaultScorer(), clip, "black_share") == pytest.approx(0.5, abs=0.01)
    # Black is frozen too.
    assert value(ImageFaultScorer(), clip, "freeze_share") == pytest.approx(0.5, abs=0.03)


def test_a_frozen_second_is_frozen_and_motion_is_not(tmp_path):
    frames = moving(2.0)
    assert value(ImageFaultScorer(), clip_of(tmp_path / "a.mp4", frames), "freeze_share") == 0.0
    frames[12:36] = frames[12]
    clip = clip_of(tmp_path / "b.mp4", frames)
    assert value(ImageFaultScorer(), clip, "freeze_share") == pytest.approx(0.5, abs=0.05)
    assert value(ImageFaultScorer(), clip, "black_share") == 0.0


def test_blur_and_less_detail_are_seen(tmp_path):
    sharp = texture(96, 128, smooth=8)
    soft = np.asarray(Image.fromarray(sharp).filter(ImageFilter.GaussianBlur(2)))
    one, other = (
        score(ImageFaultScorer(), clip_of(tmp_path / f"{name}.mp4", moving(0.5, image=image))).scores
        for name, image in (("sharp", sharp), ("soft", soft))
    )
    assert other["blur"].value > one["blur"].value + 1
    assert other["spatial_information"].value < 0.7 * one["spatial_information"].value


def test_blocks_of_eight_are_seen(tmp_path):
    smooth = np.asarray(Image.fromarray(texture(96, 128, smooth=16)).filter(ImageFilter.GaussianBlur(8)))
    blocky = smooth.reshape(12, 8, 16, 8, 3).mean((1, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
    found = [
        value(ImageFaultScorer(), clip_of(tmp_path / f"{index}.mp4", np.repeat(image[None], 12, 0)), "blockiness")
        for index, image in enumerate((smooth, blocky))
    ]
    assert found[1] > 2 * found[0]


def test_what_does_not_change_has_no_temporal_information_and_what_is_flat_no_blur(tmp_path):
    clip = clip_of(tmp_path / "a.mp4", still(1.0))
    found = score(ImageFaultScorer(), clip).scores
    assert found["temporal_information"].value == pytest.approx(0.0, abs=0.1)
    assert found["spatial_information"].value == pytest.approx(0.0, abs=0.5)
    assert reason(ImageFaultScorer(), clip, "blur") == "not applicable: no frame has an edge"
    assert reason(ImageFaultScorer(), clip, "blockiness") == "not applicable: the frames are flat"


def test_a_single_frame_has_no_temporal_information(tmp_path):
    clip = clip_of(tmp_path / "a.mp4", texture(96, 128)[None])
    assert reason(ImageFaultScorer(), clip, "temporal_information") == "not applicable: there is one frame"
