"""A pipeline of a model's sizes with random weights: the speed of a model without its download.

Every tensor is made where it will compute, in the dtype in which it will, one after the other. The text encoder is left
out, whose embeddings the caller replaces, and of two experts only one is made: a step uses one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from mova.codecs.cpu_conv import fold_causal_convolutions
from mova.diffusion.schedule import PairedFlowMatchScheduler
from mova.errors import ConfigError
from mova.generate.component_bytes import BFLOAT16_BYTES, FLOAT32_BYTES, component_bytes
from mova.generate.dims import ModelDims
from mova.generate.free_memory import room_of
from mova.generate.load import FLOAT32_NETWORKS, NETWORKS, PUBLISHED_COMPONENTS
from mova.generate.memory import GB, decoding_bytes, denoising_bytes, encoding_bytes, text_bytes
from mova.generate.pipeline import MovaPipeline
from mova.geometry import ClipGeometry
from mova.models.convert import build_empty, kept_in_float32
from mova.models.cpu_linear import use_onednn_linears
from mova.models.lora import COMPONENTS

LEFT_OUT = ("text_encoder", "video_dit_2")


def check_room(dims: ModelDims, geometry: ClipGeometry, device: torch.device, free: int | None = None) -> None:
    """Refuse a model that the memory of a device cannot hold with what a clip needs besides.

    Args:
        dims: of the model.
        geometry: of the clip.
        device: that shall hold everything.
        free: bytes; None asks the device.

    Raises:
        ConfigError: it does not fit; with the bytes needed and those that are free.
    """
    free = room_of(device).device_bytes if free is None else free
    is_gpu = device.type == "cuda"
    element_bytes = BFLOAT16_BYTES if is_gpu else FLOAT32_BYTES
    parts = component_bytes(dims, element_bytes)
    weights = sum(part.total for name, part in parts.items() if name not in LEFT_OUT)
    activations = max(
        denoising_bytes(dims, geometry, element_bytes) + text_bytes(dims, element_bytes),
        encoding_bytes(dims, geometry, is_gpu=is_gpu),
        decoding_bytes(dims, geometry, is_gpu=is_gpu),
    )
    if weights + activations > free:
        raise ConfigError(
            f"random weights of {dims.name} must fit the memory of the {device.type}: {weights / GB:.1f} GB and about "
            f"{activations / GB:.1f} GB for a clip of {geometry.width}x{geometry.height} with {geometry.num_frames} "
            f"frames, got {free / GB:.1f} GB free; "
            + ("a smaller size or fewer frames may fit" if weights < free else "take a smaller model")
        )


def random_pipeline(
    configs: Mapping[str, Mapping[str, Any]], *, dtype: torch.dtype, device: torch.device, seed: int = 0
) -> MovaPipeline:
    """Build a pipeline whose weights are random and whose results are noise; its calls take embeddings, not texts.

    Args:
        configs: published keys of each component's config.json, by folder.
        dtype: of towers and bridge; the autoencoders are float32.
        device: that makes and holds the weights.
        seed: of the weights.
    """
    generator = torch.Generator(device).manual_seed(seed)
    networks: dict[str, Any] = dict.fromkeys(LEFT_OUT)
    for name in NETWORKS:
        if name not in LEFT_OUT:
            component = build_empty(PUBLISHED_COMPONENTS[name][1], configs[name])
            fill_randomly(component, torch.float32 if name in FLOAT32_NETWORKS else dtype, generator)
            networks[name] = component.eval()
    fold_causal_convolutions(networks["video_vae"])
    use_onednn_linears(networks[name] for name in COMPONENTS if networks[name] is not None)
    made: MovaPipeline = MovaPipeline(scheduler=PairedFlowMatchScheduler(), tokenizer=None, **networks)
    return made


def fill_randomly(component: nn.Module, dtype: torch.dtype, generator: torch.Generator) -> None:
    """Give an empty component weights that keep signals at their size, on the generator's device.

    Args:
        component: on the meta device; parts that its class keeps in float32 are float32.
        dtype: of the other weights.
        generator: random numbers, and the device.
    """
    kept = set(kept_in_float32(component, dtype))
    state = {}
    for key, empty in component.state_dict().items():
        own = torch.float32 if kept & set(key.split(".")) else dtype
        tensor = torch.zeros(empty.shape, dtype=own, device=generator.device)
        if empty.ndim > 1:
            tensor.normal_(0.0, 1 / math.sqrt(empty.numel() / empty.shape[0]), generator=generator)
        elif key.endswith("weight"):
            tensor.fill_(1.0)
        state[key] = tensor
    component.load_state_dict(state, strict=True, assign=True)
