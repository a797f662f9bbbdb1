"""Both experts as one."""

import pytest
import torch

from mova.models.bridge import CrossModalBridge
from mova.models.experts import ExpertForward, Experts, pair_towers
from mova.models.tower import AudioTower, VideoTower

COMMON = {"ffn_dim": 48, "text_dim": 24, "freq_dim": 32, "num_layers": 1}


@pytest.fixture
def components():
    torch.manual_seed(0)
    video = {"dim": 48, "num_heads": 2, "in_dim": 36, "out_dim": 16, **COMMON}
    audio = {"dim": 24, "num_heads": 1, "in_dim": 8, "out_dim": 8, "patch_size": (1,), **COMMON}
    widths = {"visual_hidden_dim": 48, "audio_hidden_dim": 24, "head_dim": 24}
    return {
        "video_dit": VideoTower(**video),
        "video_dit_2": VideoTower(**video),
        "audio_dit": AudioTower(**audio),
        "dual_tower_bridge": CrossModalBridge(visual_layers=1, audio_layers=1, **widths),
    }


def test_experts_share_the_audio_tower_and_the_bridge(components):
    models = pair_towers(components)
    assert models["high_noise"].video_tower is components["video_dit"]
    assert models["low_noise"].video_tower is components["video_dit_2"]
    assert models["high_noise"].bridge is models["low_noise"].bridge
    del components["video_dit_2"]
    assert pair_towers(components)["low_noise"].video_tower is components["video_dit"]


def test_an_expert_is_brought_and_called_through_the_root(components):
    models, brought, calls = pair_towers(components), [], []
    root = Experts(models)
    root.register_forward_hook(lambda *_: calls.append(1))
    forward = ExpertForward(root, "low_noise", brought.append)
    assert forward.video_tower is components["video_dit_2"]
    times = torch.tensor([500.0])
    inputs = torch.randn(1, 36, 1, 4, 4), torch.randn(1, 8, 3), times, times, torch.randn(1, 2, 24)
    found = forward(*inputs, frame_rate=24.0)
    assert torch.equal(found.video, models["low_noise"](*inputs, frame_rate=24.0).video)
    assert (brought, calls) == (["low_noise"], [1])
