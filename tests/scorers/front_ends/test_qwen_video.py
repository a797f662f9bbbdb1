"""What Qwen2-VL sees of a video."""

import numpy as np
import pytest
import torch
from transformers import Qwen2VLConfig, Qwen2VLModel
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from mova.scorers.front_ends import qwen_video
from shared_scoring import texture


@pytest.mark.parametrize(
    ("frames", "rate", "places"),
    [(17, 24.0, [0, 5, 11, 16]), (2, 24.0, [0, 1]), (3, 24.0, [0, 2]), (5, 24.0, [0, 1, 3, 4])],
)
def test_short_videos_give_four_frames_or_as_many_as_there_are(frames, rate, places):
    assert qwen_video.frame_places(frames, rate, 2.0).tolist() == places


def test_a_clip_of_8_s_gives_16_frames_from_the_first_to_the_last():
    places = qwen_video.frame_places(193, 24.0, 2.0)
    assert (len(places), places[0], places[-1]) == (16, 0, 192)
    assert len(qwen_video.frame_places(100_000, 24.0, 2.0)) == 768


@pytest.mark.parametrize(
    ("size", "resized"),
    [((480, 480), (448, 448)), ((720, 1280), (336, 588)), ((64, 96), (280, 392)), ((10, 2000), (28, 4480))],
)
def test_sizes_are_multiples_of_28_within_the_bounds(size, resized):
    assert qwen_video.frame_size(size, 200_704) == resized


def test_patches_are_those_of_transformers():
    image = texture(56, 84)
    theirs = Qwen2VLImageProcessorPil(do_resize=False)(image, return_tensors="pt")
    ours, grid = qwen_video.patches(np.stack([image, image]))
    assert list(grid) == theirs["image_grid_thw"][0].tolist()
    assert torch.allclose(ours, theirs["pixel_values"], atol=1e-6)
    assert grid.tokens == 6


def test_two_frames_of_a_patch_lie_behind_each_other_and_pairs_follow_in_time():
    frames = np.stack([np.full((28, 28, 3), value, np.uint8) for value in (0, 255, 0, 0)])
    rows, grid = qwen_video.patches(frames)
    assert tuple(grid) == (2, 2, 2)
    patch = rows.reshape(2, 4, 3, 2, 14, 14)
    assert (patch[0, :, :, 1] > patch[0, :, :, 0]).all()
    assert torch.equal(patch[1, :, :, 1], patch[1, :, :, 0])


def test_places_of_tokens_are_those_of_transformers():
    config = Qwen2VLConfig(
        text_config={"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1},
        vision_config={"depth": 1, "embed_dim": 8, "num_heads": 1, "hidden_size": 8},
    )
    with torch.device("meta"):
        model = Qwen2VLModel(config)
    grid = qwen_video.Grid(2, 4, 6)
    kinds = torch.tensor([[0] * 5 + [2] * grid.tokens + [0] * 3])
    theirs, _ = model.get_rope_index(
        torch.zeros_like(kinds), mm_token_type_ids=kinds, video_grid_thw=torch.tensor([list(grid)])
    )
    assert torch.equal(qwen_video.token_places(5, grid, 3), theirs)


def test_text_goes_on_after_the_longest_extent_of_a_long_video():
    places = qwen_video.token_places(1, qwen_video.Grid(9, 2, 2), 2)
    assert places[:, 0].tolist() == [[0, *range(1, 10), 10, 11], [0, *[1] * 9, 10, 11], [0, *[1] * 9, 10, 11]]
