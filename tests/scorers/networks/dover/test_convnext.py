"""The ConvNeXt of DOVER's aesthetic branch at a small size."""

import torch

from mova.scorers.networks.dover.convnext import VideoConvNext


def small():
    torch.manual_seed(0)
    made = VideoConvNext((1, 3), (8, 16)).eval()
    for name, parameter in made.named_parameters():
        if name.endswith("gamma"):
            torch.nn.init.ones_(parameter)
    return made


def test_time_is_halved_once_and_the_image_in_each_stage():
    with torch.inference_mode():
        found = small()(torch.randn(2, 3, 6, 64, 96, generator=torch.Generator().manual_seed(0)))
    assert found.shape == (2, 16, 3, 8, 12)
    assert torch.allclose(found.mean(1), torch.zeros(2, 3, 8, 12), atol=1e-5)


def test_every_third_block_looks_along_time():
    network = small()
    assert [block.dwconv.kernel_size[0] for block in network.stages[1]] == [1, 3, 1]
    clip = torch.randn(1, 3, 6, 32, 32, generator=torch.Generator().manual_seed(1))
    other = clip.clone()
    other[:, :, 4:] += 1
    with torch.inference_mode():
        one, changed = network(clip), network(other)
    assert torch.allclose(one[:, :, 0], changed[:, :, 0])
    assert not torch.allclose(one[:, :, 1], changed[:, :, 1])
