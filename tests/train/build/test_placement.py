"""Where frozen weights are: all of it follows from the recipe's memory settings."""

import pytest
import torch

from mova.names import COMPONENTS, EXPERTS
from mova.offload.residency import frozen_tensors
from mova.offload.streaming import block_bytes, outside_blocks
from mova.train.build.placement import Placement, load_device
from mova.train.config.run import MemoryConfig
from mova.weights.components import load_component
from mova.weights.locate import find_model

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def components():
    base = find_model("mova-tiny")
    return {name: load_component(base / name).requires_grad_(False) for name in COMPONENTS}


@pytest.mark.parametrize(
    ("settings", "on_the_device"),
    [
        ({}, {*COMPONENTS}),
        ({"one_expert": True}, {"audio_dit", "dual_tower_bridge"}),
        ({"stream_blocks": True, "checkpoint_activations": True}, set()),
    ],
)
def test_what_waits_for_its_turn_is_loaded_to_the_host(settings, on_the_device):
    memory = MemoryConfig(**settings)
    assert {name for name in COMPONENTS if load_device(name, memory, GPU) == GPU} == on_the_device


def test_without_settings_nothing_moves():
    parts = components()
    placement = Placement(parts, MemoryConfig(), CPU)
    assert placement.streamer is None
    assert placement.experts is None
    placement.use("high_noise")
    assert not parts["video_dit"].is_gradient_checkpointing


def test_streamed_towers_leave_only_what_is_outside_their_blocks_to_the_turns_of_the_experts():
    parts = components()
    placement = Placement(parts, MemoryConfig(stream_blocks=True, checkpoint_activations=True, one_expert=True), CPU)
    for expert, name in EXPERTS.items():
        moved = {id(tensor) for tensor in frozen_tensors(placement.experts.modules[expert])}
        assert moved == {id(tensor) for tensor in outside_blocks(parts[name])}
        assert moved
    placement.use("low_noise")
    assert placement.experts.present == "low_noise"
    assert parts["audio_dit"].is_gradient_checkpointing
    assert placement.streamer.slot_bytes() == 2 * sum(
        max(block_bytes(block) for block in sequence)
        for sequence in (
            parts["video_dit"].blocks,
            parts["audio_dit"].blocks,
            parts["dual_tower_bridge"].audio_to_video_conditioners.children(),
            parts["dual_tower_bridge"].video_to_audio_conditioners.children(),
        )
    )


def test_every_frozen_tensor_is_either_in_a_block_or_outside():
    parts = components()
    inside = sum(len(frozen_tensors(block)) for name in ("video_dit", "audio_dit") for block in parts[name].blocks)
    outside = sum(len(outside_blocks(parts[name])) for name in ("video_dit", "audio_dit"))
    assert inside + outside == sum(len(frozen_tensors(parts[name])) for name in ("video_dit", "audio_dit"))
    assert outside_blocks(parts["dual_tower_bridge"]) == []
