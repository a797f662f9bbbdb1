"""DOVER on clips: what is scored, and what has a reason instead."""

import numpy as np
import pytest
import torch

from mova.scorers.networks.dover.convnext import VideoConvNext
from mova.scorers.networks.dover.network import DoverNetwork
from mova.scorers.networks.dover.swin import VideoSwin
from mova.scorers.published.dover import DOVER, DoverScorer, dover_scores, frames_at
from shared_scoring import clip_of, reason, score, texture


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    technical = VideoSwin(8, (1,), (1,), window=(2, 7, 7), fragments=(True,))
    return DoverNetwork(technical, VideoConvNext((1,), (8,)), width=8).eval()


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    frames = np.stack([np.roll(texture(240, 320, smooth=16), 8 * index, axis=1) for index in range(40)])
    return clip_of(tmp_path_factory.mktemp("clips") / "a.mp4", frames)


def test_a_clip_has_one_score_for_one_seed(small, clip):
    one, same, other = (dover_scores(clip, small, seed) for seed in (0, 0, 1))
    assert one == same
    assert (one.technical, one.aesthetic) != (other.technical, other.aesthetic)
    assert all(0 <= value <= 1 for value in one)


def test_a_single_frame_is_looked_at_as_if_it_stood_still(small, tmp_path):
    found = dover_scores(clip_of(tmp_path / "a.mp4", texture(64, 96)[None]), small)
    assert all(0 <= value <= 1 for value in found)


def test_frames_are_read_by_number_in_any_order_and_in_parts(clip):
    whole = clip.frames()
    places = np.array([39, 3, 3, 20, 0])
    assert np.array_equal(frames_at(clip, places), whole[places])
    assert np.array_equal(frames_at(clip, places, held_bytes=7 * 240 * 320 * 3), whole[places])
    assert np.array_equal(frames_at(clip, places[3:4]), whole[20:21])


def test_a_file_of_another_model_is_a_clear_error(tmp_path, clip):
    torch.save({"technical_head.fc_last.bias": torch.zeros(1)}, tmp_path / DOVER.name)
    why = reason(DoverScorer(tmp_path), clip, "dover_technical")
    assert why.startswith("failed: ConfigError")
    assert "must be the file for DoverNetwork" in why


@pytest.mark.slow
def test_a_file_of_published_names_gives_both_scores(tmp_path, clip):
    torch.manual_seed(1)
    torch.save(DoverNetwork().state_dict(), tmp_path / DOVER.name)
    found = score(DoverScorer(tmp_path), clip).scores
    assert [one.reason for one in found.values()] == [""] * 2
