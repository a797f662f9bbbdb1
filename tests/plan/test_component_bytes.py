"""Bytes by formula against the bytes of the real modules, plain and quantised."""

import pytest
import torch

from mova.models.presets import mova_360p, tiny
from mova.offload.residency import frozen_tensors
from mova.offload.streaming import block_bytes, block_sequences
from mova.plan.component_bytes import component_bytes
from mova.train.plan.unit_memory import cast_weights
from mova.weights.components import build_empty
from mova.weights.dims import dims_from_configs
from mova.weights.quantize.layers import install_quantized_layers

CLASSES = {"video_dit": "WanModel", "audio_dit": "WanAudioModel", "dual_tower_bridge": "DualTowerConditionalBridge"}


def size(tensors):
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


@pytest.mark.parametrize("configs", [tiny(), mova_360p()], ids=["tiny", "published"])
@pytest.mark.parametrize("quantization", [None, "float8", "int8", "nf4"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_bytes_are_those_of_the_real_modules(configs, quantization, dtype):
    parts = component_bytes(dims_from_configs("any", configs, {}), dtype.itemsize, quantization)
    for name, published in CLASSES.items():
        component = build_empty(published, configs[name])
        if quantization:
            install_quantized_layers(component, quantization)
        component = cast_weights(component.requires_grad_(False), dtype)
        assert parts[name].total == size(frozen_tensors(component))
        sequences = block_sequences(component)
        assert [len(sequence) for sequence in parts[name].sequences] == [len(sequence) for sequence in sequences]
        for counted, real in zip(parts[name].sequences, sequences, strict=True):
            assert list(counted) == [size(frozen_tensors(block)) for block in real]
            # A slot begins its tensors at multiples of 256 bytes.
            assert max(counted) <= max(map(block_bytes, real)) <= max(counted) + 256 * 60


def test_the_published_text_encoder_is_counted_in_blocks_and_embeddings():
    dims = dims_from_configs("any", mova_360p(), {"text_encoder": 5_680_910_336})
    part = component_bytes(dims, 2)["text_encoder"]
    assert len(part.sequences[0]) == 24
    assert part.outside == 2 * (256_384 + 1) * 4096
    assert part.total == pytest.approx(2 * 5_680_910_336, rel=1e-6)


def test_sensitive_parts_are_larger_in_use_than_in_a_file_of_half_precision():
    dims = dims_from_configs("any", mova_360p(), {"video_vae": 126_892_531, "audio_vae": 371_539_137})
    used, stored = component_bytes(dims, 2), component_bytes(dims, 2, stored=True)
    assert used["video_vae"].total == 2 * stored["video_vae"].total
    assert stored["video_dit"].total == 2 * dims.video.num_parameters
    assert 1.01 < used["video_dit"].total / stored["video_dit"].total < 1.02
