"""Where weights are offloaded to while others compute, what each placement takes, and which one fits (no torch here).

| way | on the device | elsewhere |
| --- | --- | --- |
| resident | all components | nothing |
| phases | what the phase needs: text encoder, then one expert with audio tower and bridge, then autoencoders | files |
| stream | of towers and bridge two blocks of each kind at a time, the next one prefetched | host memory |
| disk | the same | files, read for every forward |

With `phases` a GPU that has room for both experts fetches the second one ahead of its first step (`MemoryPlan.ahead`).

Weights are counted, activations estimated: those of the towers are 0 to 12 % above what the real forward allocates,
those of the autoencoder on a GPU were counted on the real one, on a CPU measured.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mova.errors import ConfigError
from mova.geometry import ClipGeometry
from mova.kernels.techniques import Technique, check_together
from mova.names import AUTOENCODERS, COMPONENTS, ENCODERS, OPTIONAL_COMPONENTS
from mova.plan.component_bytes import BFLOAT16_BYTES, FLOAT32_BYTES, ComponentBytes, component_bytes, element_bytes_on
from mova.plan.step_cache import StepCacheUse
from mova.weights.dims import ModelDims

PLACEMENTS = ("resident", "phases", "stream", "disk")
MEMORY_CHOICES = ("auto", *PLACEMENTS)
# Of what is free: the allocator loses some to fragments, kernels take work space.
USABLE_SHARE = 0.92
# Largest activations of one latent frame that encoder and decoder hold at once (counted on meta tensors of the
# published autoencoder; on a CPU the peak of the process, which includes what kernels take).
_DECODER_GPU, _ENCODER_GPU, _AUTOENCODER_CPU = 12.5, 9.0, 25.0
# Bands of the frames that are decoded one after the other, at most, and the cells of rim each of them adds per side.
MAX_BANDS, _RIM_CELLS = 8, 2.5
GB = 1e9


@dataclass(frozen=True)
class MemoryPlan:
    """Peak memory of one way to place the weights.

    Attributes:
        name: names of the device and the placement.
        placement: one of `PLACEMENTS`.
        weights_bytes: weights on the device at the peak.
        activations_bytes: estimate of the activations at the peak.
        phase: phase of a run in which the peak occurs.
        host_bytes: weights that must be in the host's memory; on a CPU they are part of `weights_bytes`.
        bands: parts of the frames that are decoded one after the other.
        read_bytes: bytes read from files for every forward.
        fetches_ahead: whether the second expert is fetched ahead of its first step, while the first one is there too;
            `weights_bytes` counts both.
        ahead: the same placement with that; None where there is nothing to fetch ahead.
    """

    name: str
    placement: str
    weights_bytes: int
    activations_bytes: int
    phase: str
    host_bytes: int = 0
    bands: int = 1
    read_bytes: int = 0
    fetches_ahead: bool = False
    ahead: MemoryPlan | None = None

    @property
    def total_bytes(self) -> int:
        """Peak on the device."""
        return self.weights_bytes + self.activations_bytes


@dataclass(frozen=True)
class Room:
    """What is free on a machine.

    Attributes:
        device_bytes: free memory of the device that computes.
        host_bytes: free memory of the host.
        is_gpu: whether the device is a GPU; else it is the host.
    """

    device_bytes: int
    host_bytes: int
    is_gpu: bool

    def fits(self, plan: MemoryPlan) -> bool:
        """Say whether a plan fits with a margin."""
        needs_host = plan.host_bytes if self.is_gpu else 0
        return plan.total_bytes <= USABLE_SHARE * self.device_bytes and needs_host <= USABLE_SHARE * self.host_bytes

    def ahead_where_it_fits(self, plan: MemoryPlan) -> MemoryPlan:
        """Return a plan with the second expert fetched ahead where there is room for both experts, else as it is."""
        return plan.ahead if plan.ahead is not None and self.fits(plan.ahead) else plan


def check_memory(name: str, num_processes: int = 1) -> None:
    """Refuse a name that is not among `MEMORY_CHOICES`, and with several processes all but "auto" and "resident".

    Raises:
        ConfigError: with the name that is nearest.
    """
    if name not in MEMORY_CHOICES:
        close = difflib.get_close_matches(str(name), MEMORY_CHOICES, n=1, cutoff=0.0)
        raise ConfigError(f"memory must be one of {', '.join(MEMORY_CHOICES)}; got {name!r}; nearest is {close[0]}")
    if num_processes > 1 and name not in ("auto", "resident"):
        offload = Technique.PHASES if name == "phases" else Technique.STREAMING
        check_together({offload: repr(name), Technique.BRANCH_PARALLEL: num_processes})


def plan_memory(
    model: ModelDims,
    geometry: ClipGeometry,
    *,
    is_gpu: bool,
    quantization: str | None = None,
    batch_size: int = 1,
    step_cache: StepCacheUse | None = None,
    element_bytes: int | None = None,
) -> tuple[MemoryPlan, ...]:
    """Estimate the peak memory of each placement, those that take most first.

    Args:
        model: dimensions of the model.
        geometry: size and length of the clip.
        is_gpu: whether a GPU computes.
        quantization: method for the weights of towers and bridge; None for bfloat16.
        batch_size: clips at once; one prediction is made at a time, clips are decoded one by one.
        step_cache: how a step cache is used; None without one.
        element_bytes: of a number of towers and texts; None for bfloat16 on a GPU and float32 on a CPU.
    """
    element_bytes = element_bytes or element_bytes_on(is_gpu=is_gpu)
    parts = component_bytes(model, element_bytes, quantization)
    # On a CPU offloaded weights keep the dtype of their files.
    stored_parts = parts if is_gpu else component_bytes(model, BFLOAT16_BYTES, quantization, stored=True)
    kept = 0 if step_cache is None else step_cache.num_bytes(model, geometry, element_bytes)
    denoising = batch_size * (denoising_bytes(model, geometry, element_bytes) + text_bytes(model, element_bytes) + kept)
    need = _Need(model, geometry, is_gpu, denoising)
    return need.resident(parts), need.phases(parts), need.stream(parts, stored_parts), need.disk(parts, stored_parts)


def plan_shared_memory(
    model: ModelDims, geometry: ClipGeometry, *, num_gpus: int, num_branches: int, quantization: str | None = None
) -> tuple[MemoryPlan, ...]:
    """Estimate the peak on the GPU that takes most, of several that make one clip: weights whole on each, and shared.

    Args:
        model: dimensions of the model.
        geometry: size and length of the clip.
        num_gpus: 2 or more.
        num_branches: predictions of a guided step; groups of GPUs take one each where they can be split evenly.
        quantization: method for the weights of towers and bridge; None for bfloat16.
    """
    parts = component_bytes(model, BFLOAT16_BYTES, quantization)
    forward = denoising_bytes(model, geometry, BFLOAT16_BYTES)
    texts = text_bytes(model, BFLOAT16_BYTES)
    decoding = decoding_bytes(model, geometry, is_gpu=True, bands=min(num_gpus, MAX_BANDS))
    encoding = encoding_bytes(model, geometry, is_gpu=True)
    towers = sum(part.total for name, part in parts.items() if name not in ENCODERS)
    others = sum(part.total for name, part in parts.items() if name in ENCODERS)
    gathered = sum(parts[part].slots for part in _AT_ONCE)
    in_group = num_gpus // num_branches if num_gpus % num_branches == 0 else num_gpus
    plans = []
    for name, weights, sharing in (
        ("resident", others + towers, in_group),
        ("shard-weights", others + towers // num_gpus + gathered, num_gpus),
    ):
        phases = {"encoding": encoding, "denoising": forward // sharing + texts, "decoding": decoding}
        highest = max(phases, key=lambda phase: phases[phase])
        plans.append(MemoryPlan(f"gpu, {name}", name, weights, phases[highest], highest))
    return tuple(plans)


def choose_placement(
    model: ModelDims,
    geometry: ClipGeometry,
    room: Room,
    *,
    quantization: str | None = None,
    batch_size: int = 1,
    step_cache: StepCacheUse | None = None,
    element_bytes: int | None = None,
) -> MemoryPlan:
    """Return the fastest placement that fits.

    Raises:
        ConfigError: none does; the text says what would: no step cache, quantised weights, fewer frames, less pixels.
    """
    element_bytes = element_bytes or element_bytes_on(is_gpu=room.is_gpu)
    options: dict[str, Any] = {"is_gpu": room.is_gpu, "batch_size": batch_size, "element_bytes": element_bytes}
    plans = plan_memory(model, geometry, quantization=quantization, step_cache=step_cache, **options)
    for plan in plans:
        if room.fits(plan):
            return room.ahead_where_it_fits(plan)
    least, what = min(plans, key=lambda plan: plan.total_bytes), "GPU" if room.is_gpu else "memory"
    if step_cache is not None:
        fitting = next(filter(room.fits, plan_memory(model, geometry, quantization=quantization, **options)), None)
        if fitting is not None:
            kept = batch_size * step_cache.num_bytes(model, geometry, element_bytes)
            raise ConfigError(
                f"step_cache keeps {kept / GB:.1f} GB for {geometry.width}x{geometry.height}, {geometry.num_frames} "
                f"frames, got {room.device_bytes / GB:.1f} GB of free {what}, which weights and activations share; "
                f"nearest is 0, which is off: then memory={fitting.placement} fits"
            )
    raise ConfigError(
        f"{geometry.width}x{geometry.height}, {geometry.num_frames} frames need {least.total_bytes / GB:.1f} GB with "
        f"memory={least.placement} ({least.phase}), got {room.device_bytes / GB:.1f} GB of free {what}; "
        f"{_what_would_fit(model, geometry, room, batch_size)}"
    )


def next_placement(placement: str, *, is_gpu: bool) -> str | None:
    """Return the next offload level: the placement below one with which memory has run out; None after the last.

    A CPU leaves out "stream": what waits in its memory takes as much there as what computes.
    """
    levels = [name for name in PLACEMENTS if is_gpu or name != "stream" or name == placement]
    return next(iter(levels[levels.index(placement) + 1 :]), None)


def denoising_bytes(model: ModelDims, geometry: ClipGeometry, element_bytes: int) -> int:
    """Estimate what one forward needs besides weights: tokens, q, k, v, hidden feed-forward values, float32 norms."""
    return geometry.num_video_tokens * token_bytes(model.video.dim, model.video.ffn_dim, element_bytes)


def token_bytes(dim: int, ffn_dim: int, element_bytes: int) -> int:
    """Estimate what one video token of a forward needs besides weights, see `denoising_bytes`."""
    return max(8 * dim, 3 * dim + 2 * ffn_dim) * element_bytes + 2 * dim * FLOAT32_BYTES


def text_bytes(model: ModelDims, element_bytes: int, num_texts: int = 2) -> int:
    """Return the bytes of the text K/V cache: keys and values of the texts in every block of one expert."""
    channels = sum(2 * tower.num_layers * tower.dim for tower in (model.video, model.audio))
    return num_texts * model.num_prompt_tokens * channels * element_bytes


def decoding_bytes(model: ModelDims, geometry: ClipGeometry, *, is_gpu: bool = False, bands: int = 1) -> int:
    """Estimate what the video decoder needs: its largest activation for one latent frame, many times, and all frames.

    The factor for a CPU was measured (peak of the resident memory, 64x64 to 320x176 pixels, the tiny and the published
    decoder) and holds there within 30 %.

    Args:
        model: dimensions of the model.
        geometry: size and length of the clip.
        is_gpu: whether a GPU decodes.
        bands: parts of the frames that take turns; each goes to the host when it is done.
    """
    frames = frames_bytes(geometry)
    cells = max(geometry.width, geometry.height) // geometry.codec.spatial_stride
    rim = 0.0 if bands == 1 else _RIM_CELLS * min(2, bands - 1) / cells
    share = 1 / bands + rim
    factor = _DECODER_GPU if is_gpu else _AUTOENCODER_CPU
    kept = 2 * frames / bands if is_gpu else 2 * frames
    return int(factor * _largest_activation(model, geometry) * share + kept)


def encoding_bytes(model: ModelDims, geometry: ClipGeometry, *, is_gpu: bool = False) -> int:
    """Estimate what the video encoder needs for the known frames: activations of one latent frame, and all frames."""
    factor = _ENCODER_GPU if is_gpu else _AUTOENCODER_CPU
    return int(factor * _largest_activation(model, geometry) + 2 * frames_bytes(geometry))


def _largest_activation(model: ModelDims, geometry: ClipGeometry) -> int:
    cells = geometry.height * geometry.width // model.video_vae_patch**2
    return cells * model.video_vae_width * geometry.codec.temporal_stride * FLOAT32_BYTES


def frames_bytes(geometry: ClipGeometry) -> int:
    """Return the bytes of a clip's decoded frames, float32."""
    return 3 * geometry.num_frames * geometry.height * geometry.width * FLOAT32_BYTES


@dataclass(frozen=True)
class _Need:
    """The phases of a run on one kind of device."""

    model: ModelDims
    geometry: ClipGeometry
    is_gpu: bool
    denoising: int

    def resident(self, parts: Mapping[str, ComponentBytes]) -> MemoryPlan:
        weights = sum(part.total for part in parts.values())
        phases = {
            "encoding": (weights, self._encoding()),
            "denoising": (weights, self.denoising),
            "decoding": (weights, self._decoding(1)),
        }
        return self._plan("resident", phases, 1)

    def phases(self, parts: Mapping[str, ComponentBytes]) -> MemoryPlan:
        text = parts["text_encoder"].total
        expert = parts["video_dit"].total + parts["audio_dit"].total + parts["dual_tower_bridge"].total
        plan = self._in_phases("phases", parts, text, expert)
        second = parts.get("video_dit_2")
        if second is None or not self.is_gpu:
            # What a CPU casts in the background it would miss in the foreground.
            return plan
        both = self._in_phases("phases", parts, text, expert + second.total)
        return replace(plan, ahead=replace(both, fetches_ahead=True))

    def stream(self, parts: Mapping[str, ComponentBytes], stored_parts: Mapping[str, ComponentBytes]) -> MemoryPlan:
        host = sum(part.blocks for name, part in stored_parts.items() if name not in ENCODERS)
        return self._streamed("stream", parts, host=host)

    def disk(self, parts: Mapping[str, ComponentBytes], stored_parts: Mapping[str, ComponentBytes]) -> MemoryPlan:
        largest = max(max(sequence) for name in _AT_ONCE for sequence in parts[name].sequences if sequence)
        read = sum(stored_parts[name].blocks for name in _AT_ONCE)
        # A GPU fetches from two pinned buffers; a CPU reads into the slots themselves.
        return self._streamed("disk", parts, host=2 * largest if self.is_gpu else 0, read=read)

    def _streamed(self, name: str, parts: Mapping[str, ComponentBytes], *, host: int, read: int = 0) -> MemoryPlan:
        text = parts["text_encoder"].outside + parts["text_encoder"].slots
        towers = sum(parts[part].outside + parts[part].slots for part in _AT_ONCE)
        return self._in_phases(name, parts, text, towers, host=host, read=read)

    def _in_phases(
        self, name: str, parts: Mapping[str, ComponentBytes], text: int, towers: int, *, host: int = 0, read: int = 0
    ) -> MemoryPlan:
        autoencoders = sum(parts[part].total for part in AUTOENCODERS)
        # On a CPU the backing store takes the same memory throughout.
        always = 0 if self.is_gpu else host
        phases = {
            "reading the prompt": (always + text, 0),
            "encoding": (always + autoencoders, self._encoding()),
            "denoising": (always + towers, self.denoising),
        }
        peak = max(map(sum, phases.values()))
        bands = next(
            (number for number in (1, 2, 4) if always + autoencoders + self._decoding(number) <= peak), MAX_BANDS
        )
        phases["decoding"] = (always + autoencoders, self._decoding(bands))
        return self._plan(name, phases, bands, host=host, read=read)

    def _plan(
        self, name: str, phases: Mapping[str, tuple[int, int]], bands: int, *, host: int = 0, read: int = 0
    ) -> MemoryPlan:
        highest = max(phases, key=lambda phase: sum(phases[phase]))
        called = f"{'gpu' if self.is_gpu else 'cpu'}, {name}"
        return MemoryPlan(called, name, *phases[highest], highest, host, bands, read)

    def _encoding(self) -> int:
        return encoding_bytes(self.model, self.geometry, is_gpu=self.is_gpu)

    def _decoding(self, bands: int) -> int:
        return decoding_bytes(self.model, self.geometry, is_gpu=self.is_gpu, bands=bands)


# One video tower computes at a time.
_AT_ONCE = tuple(name for name in COMPONENTS if name not in OPTIONAL_COMPONENTS)


def _what_would_fit(model: ModelDims, geometry: ClipGeometry, room: Room, batch_size: int) -> str:
    """Say what would fit, the smallest change first."""

    def fits(changed: ClipGeometry, quantization: str | None) -> MemoryPlan | None:
        plans = plan_memory(model, changed, is_gpu=room.is_gpu, quantization=quantization, batch_size=batch_size)
        return next((plan for plan in plans if room.fits(plan)), None)

    for quantization in ("float8", "nf4"):
        plan = fits(geometry, quantization)
        if plan:
            return f"what would fit: quantize={quantization} with memory={plan.placement}"
    shorter = _longest_that_fits(geometry, lambda changed: fits(changed, None) is not None)
    plan = None if shorter is None else fits(shorter, None)
    if shorter is not None and plan is not None:
        return f"what would fit: {shorter.num_frames} frames with memory={plan.placement}"
    for percent in range(90, 5, -5):
        height, width = (
            max(step, int(size * percent / 100) // step * step)
            for size, step in zip((geometry.height, geometry.width), geometry.codec.size_multiple, strict=True)
        )
        smaller = ClipGeometry(height, width, geometry.num_frames, geometry.frame_rate, geometry.codec)
        for method in (None, "float8", "nf4"):
            plan = fits(smaller, method)
            if plan:
                also = f", quantize={method}" if method else ""
                return f"what would fit: {width}x{height}{also} with memory={plan.placement}"
    return "no size of this model would fit"


def _longest_that_fits(geometry: ClipGeometry, fits: Callable[[ClipGeometry], bool]) -> ClipGeometry | None:
    """Return the longest shorter clip that fits, by halving: what a clip needs grows with its length."""
    stride = geometry.codec.temporal_stride
    longest, low, high = None, 0, (geometry.num_frames - 1) // stride - 1
    while low <= high:
        middle = (low + high) // 2
        frames = middle * stride + 1
        shorter = ClipGeometry(geometry.height, geometry.width, frames, geometry.frame_rate, geometry.codec)
        if fits(shorter):
            longest, low = shorter, middle + 1
        else:
            high = middle - 1
    return longest
