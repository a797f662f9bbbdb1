"""What a clip will cost, from geometry and dimensions alone: operations, memory and time, before anything is loaded.

Operations are counted as 2 x multiply-accumulate of matrix products and attention; work per element, such as norms, is
left out. Operations and weights are exact counts; activations and times are estimates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from mova.checks import check_cache, check_scale, check_steps
from mova.errors import ConfigError
from mova.geometry import ClipGeometry
from mova.kernels.compile_rule import compiling_pays
from mova.kernels.techniques import Technique, check_together
from mova.plan.gpus import CPU_TFLOPS_PER_CORE, MAX_GPUS, Gpu
from mova.plan.memory import MemoryPlan, plan_memory, plan_shared_memory
from mova.plan.step_cache import StepCacheUse
from mova.settings.sampling import SamplingSettings
from mova.settings.speed import speed_named
from mova.weights.dims import BridgeDims, ModelDims, TowerDims


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
        embeddings_and_heads: both towers' embeddings of patches, prompt and timestep, and their velocity heads.
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
class Plan:
    """Everything that is known of a run beforehand.

    Attributes:
        model: dimensions of the model.
        geometry: size and length of the clip.
        num_steps: number of steps of the sampler.
        calls: forwards of one step.
        forward: operations of one forward.
        memory: one entry per placement, those of GPUs first.
        quantization: method for the weights of towers and bridge; None for bfloat16.
        num_gpus: number of GPUs that make the clip together.
        speed: speed preset that `num_steps` and `calls` follow from.
        step_cache: how a step cache is used; None without one. Its operations are not counted off: how many it spares
            is seen while it runs.
    """

    model: ModelDims
    geometry: ClipGeometry
    num_steps: int
    calls: Calls
    forward: ForwardCost
    memory: tuple[MemoryPlan, ...]
    quantization: str | None = None
    num_gpus: int = 1
    speed: str = "exact"
    step_cache: StepCacheUse | None = None

    @property
    def is_upper_bound(self) -> bool:
        """Whether classifier-free guidance may end before the last step, which spares calls that are counted here."""
        return speed_named(self.speed).adaptive_guidance > 0 and self.calls.total > 1

    @property
    def step_operations(self) -> int:
        """Operations of one step."""
        return (
            self.calls.with_bridge * self.forward.total + self.calls.without_bridge * self.forward.total_without_bridge
        )

    @property
    def token_forwards(self) -> int:
        """Video tokens x forwards of the whole denoising loop."""
        return self.num_steps * self.calls.total * self.geometry.num_video_tokens

    @property
    def shares_tokens(self) -> bool:
        """Whether more GPUs than there are branches share the tokens of a clip."""
        return self.num_gpus > 1 and self.num_gpus != self.calls.total

    @property
    def compiles(self) -> bool:
        """Whether `mova generate` compiles the blocks on a GPU where nobody says it."""
        return not self.shares_tokens and compiling_pays(self.token_forwards // self.num_gpus, self.quantization)

    @property
    def total_operations(self) -> int:
        """Operations of the whole denoising loop."""
        return self.num_steps * self.step_operations


def make_plan(
    model: ModelDims,
    geometry: ClipGeometry,
    *,
    num_steps: int,
    guidance_scale: float,
    modality_scale: float,
    quantization: str | None = None,
    num_gpus: int = 1,
    speed: str = "exact",
    step_cache_order: int | None = None,
) -> Plan:
    """Count what a run costs.

    Args:
        model: dimensions of the model.
        geometry: size and length of the clip, with the strides of the model.
        num_steps: number of steps of the sampler.
        guidance_scale: classifier-free guidance scale for the text prompt; 1 disables it.
        modality_scale: cross-modal (bridge) guidance scale; 1 disables it.
        quantization: method for the weights of towers and bridge; None for bfloat16.
        num_gpus: number of GPUs that make the clip together, 1 to 4096.
        speed: speed preset that steps and scales follow from.
        step_cache_order: order of a step cache (see `StepCacheUse`); None without one.

    Raises:
        ConfigError: a number of steps or of GPUs, a scale, a speed or a step cache that no request may have.
    """
    check_steps(num_steps)
    speed_named(speed)
    if not 1 <= num_gpus <= MAX_GPUS:
        raise ConfigError(f"gpus must be 1 to {MAX_GPUS}, got {num_gpus}; nearest is {min(max(num_gpus, 1), MAX_GPUS)}")
    calls = calls_per_step(guidance_scale, modality_scale)
    step_cache = None
    if step_cache_order is not None:
        check_cache(0.0, step_cache_order)
        if num_gpus > 1:
            check_together({Technique.STEP_CACHE: step_cache_order, Technique.BRANCH_PARALLEL: num_gpus})
        step_cache = StepCacheUse(step_cache_order, calls.with_bridge, calls.without_bridge)
    return Plan(
        model=model,
        geometry=geometry,
        num_steps=num_steps,
        calls=calls,
        forward=forward_cost(model, geometry),
        memory=memory_plans(
            model, geometry, quantization, num_gpus=num_gpus, num_branches=calls.total, step_cache=step_cache
        ),
        quantization=quantization,
        num_gpus=num_gpus,
        speed=speed,
        step_cache=step_cache,
    )


def memory_plans(
    model: ModelDims,
    geometry: ClipGeometry,
    quantization: str | None,
    *,
    num_gpus: int = 1,
    num_branches: int = 1,
    step_cache: StepCacheUse | None = None,
) -> tuple[MemoryPlan, ...]:
    """Return the peak memory of each placement, of GPUs first; several GPUs hold weights whole or share them."""
    if num_gpus == 1:
        on_gpu = plan_memory(model, geometry, is_gpu=True, quantization=quantization, step_cache=step_cache)
    else:
        on_gpu = plan_shared_memory(
            model, geometry, num_gpus=num_gpus, num_branches=num_branches, quantization=quantization
        )
    on_cpu = plan_memory(model, geometry, is_gpu=False, quantization=quantization, step_cache=step_cache)
    return (*on_gpu, *on_cpu)


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


def token_forwards(settings: SamplingSettings) -> int:
    """Return video tokens x forwards of a clip, at most: adaptive guidance and caches spare some."""
    calls = calls_per_step(settings.guidance_scale, settings.modality_scale).total
    return settings.num_inference_steps * calls * settings.geometry.num_video_tokens


def step_cache_use(settings: SamplingSettings) -> StepCacheUse | None:
    """Return how settings use a step cache; None where they do not."""
    if not settings.step_cache:
        return None
    calls = calls_per_step(settings.guidance_scale, settings.modality_scale)
    return StepCacheUse(settings.step_cache_order, calls.with_bridge, calls.without_bridge)


def seconds(operations: float, tflops: float) -> float:
    """Return how long operations take at a rate in TFLOP/s."""
    return operations / (tflops * 1e12)


def time_estimates(plan: Plan, gpu: Gpu) -> dict[str, float]:
    """Return the duration of the denoising loop in seconds, by the rate assumed; text and decoding come on top.

    Several GPUs are taken to share the work evenly, which is the best that can happen.
    """
    return {label: seconds(plan.total_operations, plan.num_gpus * rate) for label, rate in gpu.rates.items()}


def cpu_estimate(plan: Plan, num_cores: int) -> float:
    """Return the duration of the denoising loop in seconds on so many cores, at the rate of `CPU_TFLOPS_PER_CORE`."""
    return seconds(plan.total_operations, num_cores * CPU_TFLOPS_PER_CORE)


def in_words(duration_s: float) -> str:
    """Return a duration as people say it: "about 12 minutes"; two digits, as an estimate has no more."""
    units = ((90, 1, "second"), (90 * 60, 60, "minute"), (48 * 3600, 3600, "hour"), (math.inf, 86400, "day"))
    unit_s, unit = next((size, name) for limit, size, name in units if duration_s < limit)
    count = duration_s / unit_s
    if unit == "second" and count < 1:
        return "less than a second"
    rounded = float(f"{count:.1f}") if count < 3 and unit != "second" else float(f"{count:.2g}")
    return f"about {rounded:,g} {unit}{'' if rounded == 1 else 's'}"


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
