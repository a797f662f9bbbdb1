"""What a clip will cost, from geometry and dimensions alone: operations, memory and time, before anything is loaded.

Operations are counted as 2 x multiply-accumulate of matrix products and attention; work per element, such as norms, is
left out. Operations and weights are exact counts; activations and times are estimates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from mova.generate.dims import BridgeDims, ModelDims, TowerDims
from mova.generate.gpus import Gpu
from mova.generate.request import check_scale, check_steps
from mova.geometry import ClipGeometry

FLOAT32_BYTES = 4
BFLOAT16_BYTES = 2
# Components that stay in float32 on every device.
FLOAT32_COMPONENTS = frozenset({"audio_vae", "video_vae"})


@dataclass(frozen=True)
class TowerCost:
    """Operations of the blocks of one tower in one forward, by part."""

    self_attention: int
    self_attention_linears: int
    text_attention: int
    feed_forward: int

    @property
    def total(self) -> int:
        """All parts."""
        return sum(getattr(self, field.name) for field in fields(self))


@dataclass(frozen=True)
class BridgeCost:
    """Operations of the bridge in one forward, by direction and part."""

    audio_to_video_linears: int
    audio_to_video_attention: int
    video_to_audio_linears: int
    video_to_audio_attention: int

    @property
    def total(self) -> int:
        """Both directions."""
        return sum(getattr(self, field.name) for field in fields(self))


@dataclass(frozen=True)
class ForwardCost:
    """Operations of one forward of one sample.

    Attributes:
        video, audio: blocks of the towers.
        bridge: both directions.
        embeddings_and_heads: of both towers: patches, prompt and timestep on the way in, velocity on the way out.
    """

    video: TowerCost
    audio: TowerCost
    bridge: BridgeCost
    embeddings_and_heads: int

    @property
    def total(self) -> int:
        """Both towers and the bridge."""
        return self.total_without_bridge + self.bridge.total

    @property
    def total_without_bridge(self) -> int:
        """Both towers running apart."""
        return self.video.total + self.audio.total + self.embeddings_and_heads


@dataclass(frozen=True)
class Calls:
    """Forwards of one step.

    Attributes:
        with_bridge: number of forwards that use the bridge.
        without_bridge: number of forwards that do not.
    """

    with_bridge: int
    without_bridge: int

    @property
    def total(self) -> int:
        """All forwards of a step."""
        return self.with_bridge + self.without_bridge


@dataclass(frozen=True)
class MemoryPlan:
    """Peak memory of one way to place the weights.

    Attributes:
        name: of the placement.
        weights_bytes: on the device at the peak.
        activations_bytes: estimate of what comes on top at the peak.
        phase: in which the peak occurs.
        host_bytes: weights that wait in the host's memory.
    """

    name: str
    weights_bytes: int
    activations_bytes: int
    phase: str
    host_bytes: int

    @property
    def total_bytes(self) -> int:
        """Peak on the device."""
        return self.weights_bytes + self.activations_bytes


@dataclass(frozen=True)
class Plan:
    """Everything that is known of a run beforehand.

    Attributes:
        model: its dimensions.
        geometry: of the clip.
        num_steps: of the sampler.
        calls: forwards of one step.
        forward: operations of one forward.
        memory: one entry per placement.
    """

    model: ModelDims
    geometry: ClipGeometry
    num_steps: int
    calls: Calls
    forward: ForwardCost
    memory: tuple[MemoryPlan, ...]

    @property
    def step_operations(self) -> int:
        """Operations of one step."""
        return (
            self.calls.with_bridge * self.forward.total + self.calls.without_bridge * self.forward.total_without_bridge
        )

    @property
    def total_operations(self) -> int:
        """Operations of the whole denoising loop."""
        return self.num_steps * self.step_operations


def make_plan(
    model: ModelDims, geometry: ClipGeometry, *, num_steps: int, guidance_scale: float, modality_scale: float
) -> Plan:
    """Count what a run costs.

    Args:
        model: dimensions.
        geometry: of the clip, with the strides of the model.
        num_steps: of the sampler.
        guidance_scale: of the text.
        modality_scale: of the bridge.

    Raises:
        ConfigError: a number of steps or a scale that no request may have.
    """
    check_steps(num_steps)
    return Plan(
        model=model,
        geometry=geometry,
        num_steps=num_steps,
        calls=calls_per_step(guidance_scale, modality_scale),
        forward=forward_cost(model, geometry),
        memory=memory_plans(model, geometry),
    )


def forward_cost(model: ModelDims, geometry: ClipGeometry) -> ForwardCost:
    """Count the operations of one forward of one sample."""
    num_video, num_audio = geometry.num_video_tokens, geometry.num_audio_latents
    return ForwardCost(
        video=_tower_cost(model.video, num_video, model.num_prompt_tokens),
        audio=_tower_cost(model.audio, num_audio, model.num_prompt_tokens),
        bridge=_bridge_cost(model.bridge, num_video, num_audio),
        embeddings_and_heads=_ends_cost(model.video, num_video, model.num_prompt_tokens)
        + _ends_cost(model.audio, num_audio, model.num_prompt_tokens),
    )


def calls_per_step(guidance_scale: float, modality_scale: float) -> Calls:
    """Count the forwards of one step: a prediction whose weight in the dual guidance is 0 is not asked for.

    Raises:
        ConfigError: a scale that is negative or not finite.
    """
    check_scale("guidance_scale", guidance_scale)
    check_scale("modality_scale", modality_scale)
    with_bridge = (guidance_scale != 0) + (modality_scale != guidance_scale)
    return Calls(with_bridge=with_bridge, without_bridge=int(modality_scale != 1))


def weights_bytes(model: ModelDims, *, is_gpu: bool) -> dict[str, int]:
    """Return the bytes of each component's weights: bfloat16 on a GPU but for the autoencoders, float32 on a CPU."""
    return {
        part: count * (BFLOAT16_BYTES if is_gpu and part not in FLOAT32_COMPONENTS else FLOAT32_BYTES)
        for part, count in model.parameters.items()
    }


def memory_plans(model: ModelDims, geometry: ClipGeometry) -> tuple[MemoryPlan, ...]:
    """Estimate the peak memory of each placement of the weights (one clip, one forward at a time)."""
    on_gpu, on_cpu = weights_bytes(model, is_gpu=True), weights_bytes(model, is_gpu=False)
    decoding = decoding_bytes(model, geometry)
    denoising = denoising_bytes(model, geometry, BFLOAT16_BYTES)
    return (
        _resident("gpu, everything resident", on_gpu, denoising, decoding),
        _swapped("gpu, one expert at a time", on_gpu, denoising, decoding),
        _resident("cpu", on_cpu, denoising_bytes(model, geometry, FLOAT32_BYTES), decoding),
    )


def denoising_bytes(model: ModelDims, geometry: ClipGeometry, element_bytes: int) -> int:
    """Estimate what one forward needs besides weights: tokens, q, k, v, hidden feed-forward values, float32 norms."""
    return geometry.num_video_tokens * token_bytes(model.video.dim, model.video.ffn_dim, element_bytes)


def token_bytes(dim: int, ffn_dim: int, element_bytes: int) -> int:
    """Estimate what one video token of a forward needs besides weights, see `denoising_bytes`."""
    return max(8 * dim, 3 * dim + 2 * ffn_dim) * element_bytes + 2 * dim * FLOAT32_BYTES


def decoding_bytes(model: ModelDims, geometry: ClipGeometry) -> int:
    """Estimate what the video decoder needs: its largest activation for one latent frame, many times, and all frames.

    The factor was measured on a CPU (peak of the resident memory, 64x64 to 320x176 pixels, the tiny and the published
    decoder) and holds there within 30 %; a GPU needs less.
    """
    cells = geometry.height * geometry.width // model.video_vae_patch**2
    largest = cells * model.video_vae_width * geometry.codec.temporal_stride * FLOAT32_BYTES
    frames = 3 * geometry.num_frames * geometry.height * geometry.width * FLOAT32_BYTES
    return 25 * largest + 2 * frames


def seconds(operations: float, tflops: float) -> float:
    """Return how long operations take at a rate in TFLOP/s."""
    return operations / (tflops * 1e12)


def time_estimates(plan: Plan, gpu: Gpu) -> dict[str, float]:
    """Return the duration of the denoising loop in seconds, by the rate assumed; text and decoding come on top."""
    return {label: seconds(plan.total_operations, rate) for label, rate in gpu.rates.items()}


def _tower_cost(tower: TowerDims, num_tokens: int, num_prompt_tokens: int) -> TowerCost:
    dim, layers = tower.dim, tower.num_layers
    text_linears = 4 * dim * dim * (num_tokens + num_prompt_tokens)
    return TowerCost(
        self_attention=layers * 4 * num_tokens * num_tokens * dim,
        self_attention_linears=layers * 8 * num_tokens * dim * dim,
        text_attention=layers * (text_linears + 4 * num_tokens * num_prompt_tokens * dim),
        feed_forward=layers * 4 * num_tokens * dim * tower.ffn_dim,
    )


def _ends_cost(tower: TowerDims, num_tokens: int, num_prompt_tokens: int) -> int:
    dim, cells = tower.dim, math.prod(tower.patch_size)
    patches = num_tokens * dim * cells * (tower.in_dim + tower.out_dim)
    prompt = num_prompt_tokens * dim * (tower.text_dim + dim)
    timestep = dim * (tower.freq_dim + 7 * dim)
    return 2 * (patches + prompt + timestep)


def _bridge_cost(bridge: BridgeDims, num_video: int, num_audio: int) -> BridgeCost:
    video, audio = bridge.video_dim, bridge.audio_dim
    attention = 4 * num_video * num_audio
    mixed = 4 * video * audio
    return BridgeCost(
        audio_to_video_linears=bridge.num_audio_to_video * (4 * num_video * video * video + num_audio * mixed),
        audio_to_video_attention=bridge.num_audio_to_video * attention * video,
        video_to_audio_linears=bridge.num_video_to_audio * (4 * num_audio * audio * audio + num_video * mixed),
        video_to_audio_attention=bridge.num_video_to_audio * attention * audio,
    )


def _resident(name: str, weights: Mapping[str, int], denoising: int, decoding: int) -> MemoryPlan:
    return MemoryPlan(
        name=name,
        weights_bytes=sum(weights.values()),
        activations_bytes=max(denoising, decoding),
        phase="denoising" if denoising >= decoding else "decoding",
        host_bytes=0,
    )


def _swapped(name: str, weights: Mapping[str, int], denoising: int, decoding: int) -> MemoryPlan:
    phases = {
        "reading the prompt": (("text_encoder",), 0),
        "denoising": (("video_dit", "audio_dit", "dual_tower_bridge"), denoising),
        "decoding": (("video_vae", "audio_vae"), decoding),
    }
    needed = {phase: sum(weights[part] for part in parts) for phase, (parts, _) in phases.items()}
    highest = max(phases, key=lambda phase: needed[phase] + phases[phase][1])
    return MemoryPlan(
        name=name,
        weights_bytes=needed[highest],
        activations_bytes=phases[highest][1],
        phase=highest,
        host_bytes=sum(weights.values()) - needed[highest],
    )
