"""Random weights: built like the real ones, and refused where memory cannot hold them."""

import pytest
import torch

from mova.errors import ConfigError
from mova.generate.load import load_pipeline
from mova.generate.published import find_configs, find_dims
from mova.generate.random_weights import check_room, random_pipeline
from mova.geometry import ClipGeometry

CPU = torch.device("cpu")


def shapes(network):
    return {key: (value.shape, value.dtype) for key, value in network.state_dict().items()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_network_has_the_shapes_and_dtypes_of_a_loaded_one(checkpoint, dtype):
    made = random_pipeline(find_configs(str(checkpoint)), dtype=dtype, device=CPU)
    loaded = load_pipeline(checkpoint, dtype=dtype)
    for name in ("video_dit", "audio_dit", "dual_tower_bridge", "video_vae", "audio_vae"):
        assert shapes(getattr(made, name)) == shapes(getattr(loaded, name)), name
        assert not getattr(made, name).training
    assert made.video_dit_2 is made.text_encoder is None


def test_a_clip_of_random_weights_is_finite_and_the_same_again(checkpoint, short):
    configs, dims = find_configs(str(checkpoint)), find_dims(str(checkpoint))
    embeds = torch.randn(1, dims.num_prompt_tokens, dims.video.text_dim, generator=torch.Generator().manual_seed(0))
    results = []
    for _ in range(2):
        pipeline = random_pipeline(configs, dtype=torch.float32, device=CPU)
        pipeline.set_progress_bar_config(disable=True)
        results.append(pipeline(prompt_embeds=embeds, seed=0, output_type="np", **short))
    assert results[0].frames.shape == (1, 5, 32, 32, 3)
    assert results[0].frames.std() > 0.01, "weights that vanish would compute nothing"
    assert (results[0].frames == results[1].frames).all()
    assert (results[0].audio == results[1].audio).all()


def test_what_memory_cannot_hold_is_refused_before_anything_is_made():
    dims = find_dims("mova-360p")
    clip = ClipGeometry(352, 640, 193, 24.0, dims.codec)
    check_room(dims, clip, CPU, free=500 * 10**9)
    with pytest.raises(ConfigError, match=r"mova-360p must fit the memory of the cpu: \d+\.\d GB .* got 8.0 GB free"):
        check_room(dims, clip, CPU, free=8 * 10**9)
    weights = 4 * sum(count for name, count in dims.parameters.items() if name not in ("text_encoder", "video_dit_2"))
    with pytest.raises(ConfigError, match="a smaller size or fewer frames may fit"):
        check_room(dims, clip, CPU, free=weights + 4 * 10**9)
    check_room(dims, ClipGeometry(16, 16, 5, 24.0, dims.codec), CPU, free=weights + 4 * 10**9)


def test_weights_for_a_gpu_count_half(monkeypatch):
    dims = find_dims("mova-360p")
    clip = ClipGeometry(16, 16, 5, 24.0, dims.codec)
    check_room(dims, clip, torch.device("cuda"), free=60 * 10**9)
    with pytest.raises(ConfigError, match="memory of the cpu"):
        check_room(dims, clip, CPU, free=60 * 10**9)
