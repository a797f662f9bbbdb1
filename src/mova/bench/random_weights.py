"""A pipeline of a model's sizes with random weights: the speed of a model without its download.

Every tensor is made where it will compute, in the dtype in which it will, one after the other. The text encoder is left
out, whose embeddings the caller replaces, and of two experts only one is made: a step uses one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from mova.codecs.video import cast_decoder
from mova.diffusion.schedule import PairedFlowMatchScheduler
from mova.errors import ConfigError
from mova.geometry import ClipGeometry
from mova.kernels.cpu_conv import fold_causal_convolutions
from mova.names import COMPONENTS, FLOAT32_NETWORKS, NETWORKS, OPTIONAL_COMPONENTS, PUBLISHED_COMPONENTS, TEXT_ENCODER
from mova.offload.placement import Placement
from mova.pipeline.inputs.call import CallInputs
from mova.pipeline.inputs.media import GivenNoise
from mova.pipeline.kernels import use_kernels, use_linears
from mova.pipeline.loading.model import LoadedModel
from mova.pipeline.pipeline import MovaPipeline
from mova.pipeline.runtime import Runtime
from mova.plan.memory import GB, MemoryPlan, Room, plan_memory
from mova.weights.components import build_empty, kept_in_float32
from mova.weights.dims import ModelDims
from mova.weights.quantize.layers import Quantizer
from mova.weights.quantize.layout import Method, check_method

LEFT_OUT = (TEXT_ENCODER, *OPTIONAL_COMPONENTS)


def plan_random(dims: ModelDims, geometry: ClipGeometry, room: Room, runtime: Runtime) -> MemoryPlan:
    """Choose where random weights are offloaded to.

    Args:
        dims: dimensions of the model.
        geometry: size and length of the clip.
        room: what is free.
        runtime: memory and quantisation.

    Raises:
        ConfigError: they do not fit, with what would; or their backing store is to be files, of which there are none.
    """
    if runtime.memory == "disk":
        raise ConfigError("random weights are in no file, got memory='disk'; nearest is stream")
    fixed = {name: count for name, count in dims.fixed_parameters.items() if name not in LEFT_OUT}
    made = replace(dims, num_experts=1, fixed_parameters=fixed, num_text_layers=0, text_embedding_parameters=0)
    plans = {
        plan.placement: plan
        for plan in plan_memory(made, geometry, is_gpu=room.is_gpu, quantization=runtime.quantization)
        if plan.placement != "disk"
    }
    asked = list(plans.values()) if runtime.memory == "auto" else [plans[runtime.memory]]
    fitting = next((plan for plan in asked if room.fits(plan)), None)
    if fitting is None:
        least = min(asked, key=lambda plan: plan.total_bytes)
        raise ConfigError(
            f"random weights of {dims.name} must fit the memory: {least.total_bytes / GB:.1f} GB with "
            f"memory={least.placement} for {geometry.width}x{geometry.height}, {geometry.num_frames} frames, and "
            f"{least.host_bytes / GB:.1f} GB of the host; got {room.device_bytes / GB:.1f} and "
            f"{room.host_bytes / GB:.1f} GB free; take another memory, a smaller size or quantised weights"
        )
    return fitting


def random_pipeline(
    configs: Mapping[str, Mapping[str, object]],
    *,
    dtype: torch.dtype,
    device: torch.device,
    decoding: torch.dtype = torch.float32,
    runtime: Runtime | None = None,
    plan: MemoryPlan | None = None,
) -> MovaPipeline:
    """Build a pipeline whose weights are random and whose results are noise; its calls take embeddings, not texts.

    Args:
        configs: published keys of each component's config.json, by folder.
        dtype: dtype of towers and bridge; the autoencoders are float32.
        decoding: dtype that the video autoencoder decodes in.
        device: device that makes the weights, and holds those that are not offloaded.
        runtime: quantisation and kernels (see `check_kernels`, which is up to the caller).
        plan: where the weights are offloaded to; None keeps them on the device.
    """
    runtime = runtime or Runtime()
    is_placed = plan is not None and plan.placement != "resident"
    store_on = torch.device("cpu") if is_placed else device
    generator = torch.Generator(device).manual_seed(0)
    networks: dict[str, Any] = dict.fromkeys(LEFT_OUT)
    for name in NETWORKS:
        if name not in LEFT_OUT:
            component = build_empty(PUBLISHED_COMPONENTS[name][1], configs[name])
            method = check_method(runtime.quantization) if runtime.quantization and name in COMPONENTS else None
            wanted = torch.float32 if name in FLOAT32_NETWORKS else dtype
            fill_randomly(component, wanted, generator, store_on=store_on, method=method)
            networks[name] = component.eval()
    cast_decoder(networks["video_vae"], decoding)
    fold_causal_convolutions(networks["video_vae"])
    towers = [networks[name] for name in COMPONENTS if networks[name] is not None]
    use_linears(runtime, towers, device, dtype)
    use_kernels(runtime, towers, device)
    present = {name: network for name, network in networks.items() if network is not None}
    parts = {"scheduler": PairedFlowMatchScheduler(), "tokenizer": None, **networks}
    placement = Placement(present, device, plan, dtype, decoding) if plan is not None and is_placed else None
    made: MovaPipeline = MovaPipeline.from_loaded(LoadedModel(parts, placement=placement))
    return made


def fill_randomly(
    component: nn.Module,
    dtype: torch.dtype,
    generator: torch.Generator,
    *,
    store_on: torch.device | None = None,
    method: Method | None = None,
) -> None:
    """Give an empty component weights that keep signals at their size, one tensor after the other.

    Args:
        component: module on the meta device; parts that its class keeps in float32 are float32.
        dtype: dtype of the other weights.
        generator: random numbers, and the device that makes and quantises them.
        store_on: device that the weights go to; None leaves them where they were made.
        method: quantises the large linear layers.
    """
    kept = set(kept_in_float32(component, dtype))
    shapes = {key: empty.shape for key, empty in component.state_dict().items()}
    quantizer = Quantizer(method) if method else None
    if quantizer:
        quantizer.prepare(component)
    state: dict[str, torch.Tensor] = {}
    for key, shape in shapes.items():
        own = torch.float32 if kept & set(key.split(".")) else dtype
        tensor = torch.zeros(shape, dtype=own, device=generator.device)
        if len(shape) > 1:
            tensor.normal_(0.0, 1 / math.sqrt(shape.numel() / shape[0]), generator=generator)
        elif key.endswith("weight"):
            tensor.fill_(1.0)
        made = (quantizer.quantize(key, tensor) if quantizer else None) or {key: tensor}
        state |= {name: value.to(store_on or value.device) for name, value in made.items()}
    component.load_state_dict(state, strict=True, assign=True)


def random_inputs(dims: ModelDims, dtype: torch.dtype, device: torch.device) -> CallInputs:
    """Return embeddings (1, P, C) of no text and a seed, always the same ones."""
    shape = (1, dims.num_prompt_tokens, dims.video.text_dim)
    generator = torch.Generator().manual_seed(1)
    positive, negative = (torch.randn(shape, generator=generator).to(device, dtype) for _ in range(2))
    return CallInputs(prompt_embeds=positive, negative_prompt_embeds=negative, noise=GivenNoise(seed=0))
