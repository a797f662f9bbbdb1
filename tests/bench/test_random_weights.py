"""Random weights: built like the real ones, and refused where memory cannot hold them."""

import pytest
import torch

from mova.bench.random_weights import plan_random, random_pipeline
from mova.errors import ConfigError
from mova.geometry import ClipGeometry
from mova.pipeline.load import load_pipeline
from mova.pipeline.runtime import Runtime
from mova.plan.memory import Room
from mova.plan.published import find_configs, find_dims
from mova.weights.quantize.codes import is_quantized

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


@pytest.mark.parametrize(("memory", "method"), [("phases", None), ("stream", None), ("stream", "float8")])
def test_random_weights_may_rest_and_be_quantized(checkpoint, short, memory, method):
    configs, dims = find_configs(str(checkpoint)), find_dims(str(checkpoint))
    embeds = torch.randn(1, dims.num_prompt_tokens, dims.video.text_dim, generator=torch.Generator().manual_seed(0))
    clip = ClipGeometry(32, 32, 5, 24.0, dims.codec)
    results = []
    for name in ("resident", memory):
        runtime = Runtime(memory=name, quantization=method)
        plan = plan_random(dims, clip, Room(2**36, 2**36, is_gpu=False), runtime)
        assert plan.placement == name
        pipeline = random_pipeline(configs, dtype=torch.float32, device=CPU, runtime=runtime, plan=plan)
        pipeline.set_progress_bar_config(disable=True)
        results.append(pipeline(prompt_embeds=embeds, seed=0, output_type="pt", **short))
    assert pipeline.placement.resident_bytes() == 0
    assert is_quantized(pipeline.video_dit.blocks[0].self_attn.q.weight) == (method is not None)
    torch.testing.assert_close(results[1].frames, results[0].frames, rtol=0, atol=2e-5)


def test_what_memory_cannot_hold_is_refused_before_anything_is_made():
    dims = find_dims("mova-360p")
    clip = ClipGeometry(352, 640, 193, 24.0, dims.codec)

    def plan(gigabytes, runtime, is_gpu=True, host=128):
        return plan_random(dims, clip, Room(int(gigabytes * 1e9), int(host * 1e9), is_gpu=is_gpu), runtime)

    assert plan(80, Runtime()).placement == "resident"
    assert plan(80, Runtime(quantization="float8")).total_bytes < 0.61 * plan(80, Runtime()).total_bytes
    assert plan(24, Runtime()).placement == "stream"
    with pytest.raises(ConfigError, match=r"mova-360p must fit the memory: \d+\.\d GB with memory=resident .*24.0"):
        plan(24, Runtime(memory="resident"))
    with pytest.raises(ConfigError, match="take another memory, a smaller size or quantised weights"):
        plan(5, Runtime())
    with pytest.raises(ConfigError, match="random weights are in no file, got memory='disk'; nearest is stream"):
        plan(80, Runtime(memory="disk"))
    # On a CPU everything is in float32.
    with pytest.raises(ConfigError, match="must fit the memory"):
        plan(60, Runtime(memory="resident"), is_gpu=False)
