"""The Swin transformer of DOVER's technical branch at a small size."""

import pytest
import torch

from mova.scorers.networks.dover.swin import VideoSwin


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    made = VideoSwin(8, (1, 2), (2, 2), fragments=(True, False)).eval()
    for name, parameter in made.named_parameters():
        if name.endswith("bias_table"):
            torch.nn.init.normal_(parameter)
    return made


@pytest.mark.parametrize("size", [(32, 64, 64), (4, 64, 64), (1, 32, 32), (17, 70, 45)])
def test_a_video_of_any_size_has_features_for_each_two_frames(small, size):
    with torch.inference_mode():
        found = small(torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0)))
    assert found.shape == (1, 16, -(-size[0] // 2), -(-size[1] // 8), -(-size[2] // 8))
    assert torch.isfinite(found).all()


def test_clips_of_a_batch_do_not_see_each_other(small):
    clips = torch.randn(2, 3, 18, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.allclose(small(clips)[1], small(clips[1:])[0], atol=1e-5)


def test_biases_tell_fragments_apart(small):
    clip = torch.randn(1, 3, 4, 64, 64, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        before = small(clip)
        table = small.layers[0].blocks[0].attn.fragment_position_bias_table
        table.add_(1.0 - table)
        assert not torch.allclose(small(clip), before, atol=1e-4)
