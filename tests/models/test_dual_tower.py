"""The joint forward: batches, the bridge switch, gradients, dtypes, and every technique that hooks into it."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from mova.errors import ConfigError, GeometryError
from mova.models.bridge import STRATEGIES, CrossModalBridge
from mova.models.dual_tower import DualTower

FRAME_RATE = 24.0


def _run(model, inputs, **options):
    with torch.no_grad():
        return model(**inputs, frame_rate=FRAME_RATE, **options)


def _components(model):
    return {"video_tower": model.video_tower, "audio_tower": model.audio_tower, "bridge": model.bridge}


def test_velocities_have_the_shapes_of_the_noisy_latents_and_are_float32(make_dual_tower, make_inputs):
    inputs = make_inputs(batch=2)
    velocities = _run(make_dual_tower().to(torch.bfloat16), inputs)
    assert velocities.video.shape == (2, 16, 3, 4, 6)
    assert velocities.audio.shape == (2, 8, 25)
    assert velocities.video.dtype == velocities.audio.dtype == torch.float32


@pytest.mark.parametrize("bridge", [{}, {"pooled_adaln": True, "trainable_condition_scale": True}])
def test_a_batch_gives_what_single_samples_give(make_dual_tower, make_inputs, bridge):
    if "pooled_adaln" in bridge:
        bridge = {**bridge, "apply_first_frame_bias_in_rope": True}
    model, inputs = make_dual_tower(**bridge), make_inputs(batch=4)
    together = _run(model, inputs)
    for sample in range(4):
        alone = _run(model, {name: value[sample : sample + 1] for name, value in inputs.items()})
        torch.testing.assert_close(together.video[sample : sample + 1], alone.video, atol=3e-6, rtol=1e-5)
        torch.testing.assert_close(together.audio[sample : sample + 1], alone.audio, atol=3e-6, rtol=1e-5)


def test_without_the_bridge_each_tower_gives_what_it_gives_alone(make_dual_tower, make_inputs):
    model, inputs = make_dual_tower(), make_inputs(batch=2)
    separate = _run(model, inputs, use_bridge=False)
    with torch.no_grad():
        video = model.video_tower(inputs["video_latents"], inputs["video_timestep"], inputs["prompt_embeds"])
        audio = model.audio_tower(inputs["audio_latents"], inputs["audio_timestep"], inputs["prompt_embeds"])
    assert torch.equal(separate.video, video)
    assert torch.equal(separate.audio, audio)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_bridge_carries_each_modality_into_the_other(make_dual_tower, make_inputs, strategy):
    model, inputs = make_dual_tower(audio_layers=3, interaction_strategy=strategy), make_inputs()
    before = _run(model, inputs)
    other_sound = _run(model, {**inputs, "audio_latents": inputs["audio_latents"] + 1})
    other_picture = _run(model, {**inputs, "video_latents": inputs["video_latents"] + 1})
    assert not torch.allclose(before.video, other_sound.video, atol=1e-4)
    assert not torch.allclose(before.audio, other_picture.audio, atol=1e-4)
    silent = _run(model, {**inputs, "audio_latents": inputs["audio_latents"] + 1}, use_bridge=False)
    assert torch.equal(silent.video, _run(model, inputs, use_bridge=False).video)


@pytest.mark.parametrize(("video_layers", "audio_layers"), [(3, 2), (2, 3), (2, 2)])
def test_layers_without_a_partner_run_alone(make_dual_tower, make_inputs, video_layers, audio_layers):
    model, inputs = make_dual_tower(video_layers=video_layers, audio_layers=audio_layers), make_inputs()
    before = _run(model, inputs)
    for tower, modality in ((model.video_tower, "video"), (model.audio_tower, "audio")):
        last = tower.blocks[-1].ffn[2].bias
        with torch.no_grad():
            last.add_(1)
        after = _run(model, inputs)
        with torch.no_grad():
            last.sub_(1)
        assert not torch.allclose(getattr(before, modality), getattr(after, modality), atol=1e-4)


def test_both_directions_read_the_states_from_before_the_bridge(make_dual_tower, make_inputs):
    model = make_dual_tower()
    video, audio = torch.randn(1, 18, 48), torch.randn(1, 25, 24)
    rotary = model.bridge.rotary_tables((3, 2, 3), 25, FRAME_RATE, video.device)
    with torch.no_grad():
        both = model.bridge(0, video, audio, rotary, 3)
        picture_only = model.bridge(0, video, audio, rotary, 3, video_to_audio_scale=0.0)
        sound_only = model.bridge(0, video, audio, rotary, 3, audio_to_video_scale=0.0)
    assert torch.equal(both[0], picture_only[0])
    assert torch.equal(both[1], sound_only[1])


@pytest.mark.parametrize("frame_rate", [8.0, 23.976, 60.0])
def test_the_frame_rate_matters_only_through_the_bridge(make_dual_tower, make_inputs, frame_rate):
    model, inputs = make_dual_tower(), make_inputs()
    with torch.no_grad():
        first, second = (model(**inputs, frame_rate=rate) for rate in (24.0, frame_rate))
        off, still_off = (model(**inputs, frame_rate=rate, use_bridge=False) for rate in (24.0, frame_rate))
    assert not torch.equal(first.video, second.video)
    assert not torch.equal(first.audio, second.audio)
    assert torch.equal(off.video, still_off.video)
    assert torch.equal(off.audio, still_off.audio)


def test_gradients_reach_every_parameter(make_dual_tower, make_inputs):
    model = make_dual_tower(pooled_adaln=True, trainable_condition_scale=True)
    velocities = model(**make_inputs(batch=2), frame_rate=FRAME_RATE)
    (velocities.video.square().mean() + velocities.audio.square().mean()).backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert without == []
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


def test_gradient_checkpointing_changes_no_gradient(make_dual_tower, make_inputs):
    gradients = []
    for checkpointing in (False, True):
        model, inputs = make_dual_tower(), make_inputs(batch=2)
        if checkpointing:
            model.video_tower.enable_gradient_checkpointing()
            model.audio_tower.enable_gradient_checkpointing()
            assert all(block.gradient_checkpointing for block in model.video_tower.blocks)
        velocities = model(**inputs, frame_rate=FRAME_RATE)
        (velocities.video.square().mean() + velocities.audio.square().mean()).backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], atol=1e-7, rtol=1e-5)


def test_tables_made_under_inference_mode_serve_training_later(make_dual_tower, make_inputs):
    model, inputs = make_dual_tower(), make_inputs()
    rate = 31.25  # no other test's grid and rate, so that the tables are made here
    with torch.inference_mode():
        model(**inputs, frame_rate=rate)
    model(**inputs, frame_rate=rate).video.square().mean().backward()


def test_autocast_stays_close_and_keeps_the_noise_level_in_float32(make_dual_tower, make_inputs):
    model, inputs = make_dual_tower(), make_inputs(batch=2)
    exact = _run(model, inputs)
    reference = model.video_tower.prepare(
        inputs["video_latents"], inputs["video_timestep"], inputs["prompt_embeds"]
    ).time_modulation
    with torch.autocast("cpu", torch.bfloat16):
        rounded = _run(model, inputs)
        prepared = model.video_tower.prepare(inputs["video_latents"], inputs["video_timestep"], inputs["prompt_embeds"])
    assert prepared.tokens.dtype == torch.float32
    assert torch.equal(prepared.time_modulation, reference)
    assert not torch.equal(rounded.video, exact.video)
    torch.testing.assert_close(rounded.video, exact.video, atol=0.05, rtol=0.05)
    torch.testing.assert_close(rounded.audio, exact.audio, atol=0.05, rtol=0.05)


def test_bfloat16_weights_still_get_a_float32_noise_level(make_dual_tower, make_inputs):
    model, inputs = make_dual_tower().to(torch.bfloat16), make_inputs()
    prepared = model.video_tower.prepare(inputs["video_latents"], inputs["video_timestep"], inputs["prompt_embeds"])
    assert prepared.tokens.dtype == torch.bfloat16
    assert prepared.time_modulation.dtype == torch.float32
    exact = model.video_tower.float().prepare(
        inputs["video_latents"], inputs["video_timestep"], inputs["prompt_embeds"]
    )
    assert torch.equal(prepared.time_modulation, exact.time_modulation)


def test_a_bridge_made_for_other_towers_is_refused(make_dual_tower):
    model = make_dual_tower()
    bridge = CrossModalBridge(visual_layers=3, audio_layers=2, visual_hidden_dim=72, audio_hidden_dim=24, head_dim=24)
    with pytest.raises(ConfigError, match="visual_hidden_dim of the bridge must equal the tower's 48, got 72"):
        DualTower(model.video_tower, model.audio_tower, bridge)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("video_latents", torch.zeros(1, 36, 3, 5, 6), "latent size h must be a positive multiple of 2, got 5"),
        ("video_latents", torch.zeros(1, 16, 3, 4, 6), "latents must have 36 channels, got 16"),
        ("video_latents", torch.zeros(1, 36, 4, 6), "latents must have 5 axes"),
        ("audio_timestep", torch.zeros(2), r"timestep must be \(1,\)"),
        ("audio_timestep", torch.tensor(3.0), r"timestep must be \(1,\)"),
        ("prompt_embeds", torch.zeros(2, 5, 32), "prompt_embeds must be"),
    ],
)
def test_wrong_shapes_are_named(make_dual_tower, make_inputs, name, value, text):
    with pytest.raises(GeometryError, match=text):
        _run(make_dual_tower(), {**make_inputs(), name: value})


# ---- techniques applied from outside: docs/decisions/0001-hooks-and-the-joint-forward.md ------------------------


@pytest.mark.parametrize("options", [{"offload_type": "leaf_level"}, {"offload_type": "block_level"}])
@pytest.mark.parametrize(
    "bridge", [{}, {"interaction_strategy": "distributed", "pooled_adaln": True, "trainable_condition_scale": True}]
)
def test_group_offload_brings_every_parameter_back_for_its_use(make_dual_tower, make_inputs, tmp_path, options, bridge):
    model, inputs = make_dual_tower(video_layers=4, audio_layers=4, **bridge), make_inputs(batch=2)
    expected = _run(model, inputs)
    for name, component in _components(model).items():
        component.enable_group_offload(
            onload_device=torch.device("cpu"),
            offload_device=torch.device("cpu"),
            offload_to_disk_path=str(tmp_path / name),
            **({"num_blocks_per_group": 1} if options["offload_type"] == "block_level" else {}),
            **options,
        )
    for _ in range(2):
        # Offloaded parameters live on disk; whatever a hook does not bring back is spoiled here.
        for parameter in model.parameters():
            parameter.data.fill_(float("nan"))
        velocities = _run(model, inputs)
        assert torch.equal(velocities.video, expected.video)
        assert torch.equal(velocities.audio, expected.audio)


def test_layerwise_casting_computes_with_every_weight_cast_back(make_dual_tower, make_inputs):
    model, inputs = make_dual_tower(), make_inputs()
    exact = _run(model, inputs)
    for component in _components(model).values():
        component.enable_layerwise_casting(storage_dtype=torch.bfloat16, compute_dtype=torch.float32)
    assert model.video_tower.blocks[0].ffn[0].weight.dtype == torch.bfloat16
    assert model.video_tower.blocks[0].modulation.dtype == torch.float32
    rounded = _run(model, inputs)
    assert not torch.equal(rounded.video, exact.video)
    torch.testing.assert_close(rounded.video, exact.video, atol=0.05, rtol=0.05)
    torch.testing.assert_close(rounded.audio, exact.audio, atol=0.05, rtol=0.05)


def test_blocks_and_conditioners_trace_without_a_graph_break(make_dual_tower, make_inputs):
    model, inputs = make_dual_tower(), make_inputs()
    expected = _run(model, inputs)
    for component in _components(model).values():
        component.compile_repeated_blocks(backend="eager", fullgraph=True)
    compiled = _run(model, inputs)
    torch.testing.assert_close(compiled.video, expected.video, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(compiled.audio, expected.audio, atol=1e-6, rtol=1e-6)


@pytest.fixture
def single_process_mesh():
    # One rank is enough: parameters become sharded tensors that compute with nothing until a hook gathers them.
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


def _gradients(model, inputs):
    velocities = model(**inputs, frame_rate=FRAME_RATE)
    (velocities.video.square().mean() + velocities.audio.square().mean()).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.mark.filterwarnings("ignore:FSDP2-wrapped module")
def test_fully_sharded_parts_are_gathered_for_their_use(make_dual_tower, make_inputs, single_process_mesh):
    options, inputs = {"pooled_adaln": True, "trainable_condition_scale": True}, make_inputs(batch=2)
    expected = _gradients(make_dual_tower(**options), inputs)
    model = make_dual_tower(**options)
    for tower in (model.video_tower, model.audio_tower):
        embeddings = (tower.patch_embedding, tower.text_embedding, tower.time_embedding, tower.time_projection)
        for part in (*embeddings, *tower.blocks, tower.head):
            fully_shard(part, mesh=single_process_mesh)
    for conditioners in (model.bridge.audio_to_video_conditioners, model.bridge.video_to_audio_conditioners):
        for conditioner in conditioners.children():
            fully_shard(conditioner, mesh=single_process_mesh)
    fully_shard(model.bridge, mesh=single_process_mesh)
    fully_shard(model, mesh=single_process_mesh)
    for name, gradient in _gradients(model, inputs).items():
        torch.testing.assert_close(gradient.full_tensor(), expected[name], atol=1e-7, rtol=1e-5)


def test_parameters_live_only_in_modules_that_the_joint_forward_calls(make_dual_tower, make_inputs):
    model = make_dual_tower(pooled_adaln=True, trainable_condition_scale=True)
    called = set()
    handles = [
        module.register_forward_pre_hook(lambda _, __, name=name: called.add(name))
        for name, module in model.named_modules()
    ]
    _run(model, make_inputs())
    for handle in handles:
        handle.remove()
    owners = {name for name, module in model.named_modules() if list(module.parameters(recurse=False))}
    assert len(owners) > 50
    assert owners - called == set()
