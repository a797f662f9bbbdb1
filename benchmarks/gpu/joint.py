"""Rows of the joint forward: random weights of the published sizes, made on the device and kept from row to row."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

import torch

from gpu.work import MissingError, Work
from mova.bench.random_weights import fill_randomly
from mova.errors import ConfigError
from mova.geometry import ClipGeometry
from mova.kernels.attention_backends import check_backend, use_backend
from mova.kernels.compile import check_compiler, compile_blocks
from mova.kernels.text_cache import TextCache
from mova.models.attention import Attention
from mova.models.dual_tower import DualTower
from mova.models.presets import mova_360p, tiny
from mova.names import AUDIO_TOWER, BRIDGE, TOWERS, VIDEO_TOWER, published_class
from mova.pipeline.loop.side_stream import beside_video
from mova.plan.cost import forward_cost
from mova.weights.components import build_empty
from mova.weights.dims import ModelDims, dims_from_configs
from mova.weights.quantize.layout import Method

FRAME_RATE = 24.0
TERA, GB = 1e12, 1e9
CLIPS = {"full": (352, 640, 193), "small": (32, 48, 9)}
LARGE_CLIPS = {"full": (720, 1280, 193), "small": (48, 64, 9)}
# Prompt tokens by size. The parameters of what no forward needs are not in the configs.
PROMPT_TOKENS = {"full": 512, "small": 16}
NO_CODECS = {"text_encoder": 0, "video_vae": 0, "audio_vae": 0}


def configs_of(sizes: str, layers: int | None = None) -> dict[str, dict[str, Any]]:
    """Return the configs of the model with one expert; `layers` of each tower at most."""
    configs = mova_360p() if sizes == "full" else tiny()
    del configs["video_dit_2"]
    if layers:
        for name in TOWERS:
            configs[name]["num_layers"] = min(layers, configs[name]["num_layers"])
        configs[BRIDGE] |= {
            "visual_layers": configs[VIDEO_TOWER]["num_layers"],
            "audio_layers": configs[AUDIO_TOWER]["num_layers"],
        }
    return configs


class Joint:
    """Towers and bridge with random weights, and one text's K/V cache.

    Args:
        work: sizes and device.
        method: how the large linear layers are quantised; None leaves them as they are.
        layers: of each tower at most.
    """

    def __init__(self, work: Work, method: Method | None = None, layers: int | None = None) -> None:
        self.work, self.configs = work, configs_of(work.sizes, layers)
        generator = torch.Generator(work.device).manual_seed(0)
        self.parts: dict[str, torch.nn.Module] = {}
        for name in (VIDEO_TOWER, AUDIO_TOWER, BRIDGE):
            part = build_empty(published_class(name), self.configs[name])
            fill_randomly(part, work.dtype, generator, method=method)
            self.parts[name] = part.eval().requires_grad_(False)
        self.model = self.assemble()
        shape = (1, PROMPT_TOKENS[work.sizes], self.configs[VIDEO_TOWER]["text_dim"])
        self.text = torch.randn(shape, generator=generator, device=work.device).to(work.dtype)
        self.is_compiled = False
        self.forget_text()

    def assemble(self) -> DualTower:
        """Return the joint model of the parts as they are now."""
        self.model = DualTower(self.parts[VIDEO_TOWER], self.parts[AUDIO_TOWER], self.parts[BRIDGE]).eval()
        return self.model

    def forget_text(self) -> None:
        """Begin with an empty text K/V cache."""
        self.cache = TextCache(self.text)

    @property
    def dims(self) -> ModelDims:
        """Dimensions for plans and counts."""
        count = PROMPT_TOKENS[self.work.sizes]
        return dims_from_configs(self.work.sizes, self.configs, NO_CODECS, num_prompt_tokens=count)

    def geometry(self, clips: dict[str, tuple[int, int, int]] = CLIPS) -> ClipGeometry:
        """Return the clip of these sizes."""
        return ClipGeometry(*clips[self.work.sizes], FRAME_RATE, self.dims.codec)

    def inputs(self, geometry: ClipGeometry) -> list[torch.Tensor]:
        """Return latents with conditions, noise levels and the text."""
        generator = torch.Generator(self.work.device).manual_seed(1)
        shape = (1, self.configs[VIDEO_TOWER]["in_dim"], *geometry.video_latent_shape[1:])
        drawn = [
            torch.randn(one, generator=generator, device=self.work.device)
            for one in (shape, (1, *geometry.audio_latent_shape))
        ]
        level = torch.full((1,), 500.0, device=self.work.device)
        return [*drawn, level, level, self.text]

    def __call__(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        """Compute the joint forward as a step does; return the video's velocity."""
        towers = self.model.video_tower, self.model.audio_tower
        with beside_video([self.model], self.work.device), self.cache.applied(*towers):
            return self.model(*inputs, frame_rate=FRAME_RATE).video

    def compile(self, wanted: bool) -> None:
        """Compile the blocks, or let them compute as they are written."""
        if wanted and not self.is_compiled:
            compile_blocks(self.parts.values())
        if not wanted and self.is_compiled:
            for block in self.model.modules():
                vars(block).pop("forward", None)
        self.is_compiled = wanted

    def attend_as_usual(self) -> None:
        """Undo the choice of an attention."""
        for layer in self.model.modules():
            if isinstance(layer, Attention):
                layer.processor = type(layer.processor)()

    def weight_bytes(self) -> int:
        """Return the bytes of all weights."""
        tensors = [*self.model.parameters(), *self.model.buffers()]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def joint_of(work: Work, method: Method | None = None) -> Joint:
    """Return the model of these sizes, made once; with plain and with quantised weights it is kept beside the other."""
    names = {None: "joint", "float8_linear": "joint float8_linear"}
    found: Joint = work.keep(names[method], lambda: Joint(work, method), beside=tuple(names.values()))
    return found


def measured(work: Work, joint: Joint, geometry: ClipGeometry, rounds: int | None = None) -> dict[str, Any]:
    """Return seconds, rates and the peak of a forward."""
    inputs = joint.inputs(geometry)
    work.start_peak()
    velocity: list[torch.Tensor] = []

    def call() -> None:
        velocity[:] = [joint(inputs)]

    first, *times = work.times(call, rounds)
    operations = forward_cost(joint.dims, geometry).total
    seconds = median(times) if times else first
    figures = {
        "seconds": round(seconds, 4),
        "all seconds": [round(one, 4) for one in times],
        "first call, seconds": round(first, 2),
        "video tokens": geometry.num_video_tokens,
        "TFLOP": round(operations / TERA, 3),
        "TFLOP/s": round(operations / seconds / TERA, 3),
    }
    ceiling = work.figures.get("a.ceilings", {}).get("bfloat16 product, TFLOP/s")
    if ceiling:
        figures["share of the bfloat16 product"] = round(operations / seconds / TERA / ceiling, 3)
    figures |= {"finite": bool(torch.isfinite(velocity[0]).all())} | compared(work, joint, velocity[0])
    return figures | work.peak(joint.weight_bytes()) | {"weights GB": round(joint.weight_bytes() / GB, 3)}


def compared(work: Work, joint: Joint, velocity: torch.Tensor) -> dict[str, Any]:
    """Return how far a velocity is from the first one of its shape and of as many layers, which is kept for it."""
    layers = joint.configs[VIDEO_TOWER]["num_layers"]
    plain = work.references.setdefault((layers, *velocity.shape), velocity.cpu())
    difference = float((velocity.cpu() - plain).abs().max() / plain.std())
    return {"largest difference from the first one, in standard deviations": round(difference, 6)}


def forward(work: Work, method: Method | None = None, compiled: bool = False) -> dict[str, Any]:
    """Measure the forward, with compiled blocks or not, next to the plain one."""
    if compiled:
        require_compiler(work)
    start = work.now()
    joint = joint_of(work, method)
    made = work.now() - start
    joint.compile(compiled)
    try:
        figures = measured(work, joint, joint.geometry())
    finally:
        joint.compile(False)
    if compiled:
        figures["compiling, seconds"] = round(figures["first call, seconds"] - figures["seconds"], 1)
    elif made > 1:
        figures["weights made in, seconds"] = round(made, 1)
    return figures | against_plain(work, figures["seconds"])


def against_plain(work: Work, seconds: float) -> dict[str, float]:
    """Return how many times faster than the plain forward something is, where that was measured."""
    plain = work.figures.get("b.forward", {}).get("seconds")
    return {"times faster than plain": round(plain / seconds, 3)} if plain else {}


def attention(work: Work, backend: str) -> dict[str, Any]:
    """Measure the forward with another attention."""
    configs = configs_of(work.sizes)
    try:
        heads = [configs[name]["dim"] // configs[name]["num_heads"] for name in TOWERS]
        check_backend(backend, work.device, work.dtype, head_dims=heads)
    except ConfigError as problem:
        raise MissingError(str(problem)) from problem
    joint = joint_of(work)
    use_backend(backend, joint.parts.values())
    try:
        figures = measured(work, joint, joint.geometry(), rounds=1)
    finally:
        joint.attend_as_usual()
    return figures | against_plain(work, figures["seconds"])


def forward_720p(work: Work) -> dict[str, Any]:
    """Measure one forward at the larger size: the first call of its shape, with kernels that are loaded already."""
    joint = joint_of(work)
    geometry = joint.geometry(LARGE_CLIPS)
    figures = measured(work, joint, geometry, rounds=0)
    return figures | {"note": "one call, the first of its shape; not compiled"}


def branches(work: Work) -> dict[str, Any]:
    """Measure two branches in one call against twice a call of one."""
    joint = joint_of(work)
    *latents, text = joint.inputs(joint.geometry())
    joint.cache = TextCache(torch.cat([text, text]))
    inputs = [*(torch.cat([one, one]) for one in latents), joint.cache.prompt_embeds]
    work.start_peak()
    try:
        times = work.times(lambda: joint(inputs), rounds=1)
    finally:
        joint.forget_text()
    plain = work.figures.get("b.forward", {}).get("seconds")
    ratio = {"of two calls": round(times[1] / (2 * plain), 3)} if plain else {}
    return {"seconds": round(times[1], 4)} | ratio | work.peak(joint.weight_bytes())


def profile(work: Work, method: Method | None = None) -> dict[str, Any]:
    """Return which kernels a forward spends its time in."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as record

    joint = joint_of(work, method)
    inputs = joint.inputs(joint.geometry())
    activities = [ProfilerActivity.CUDA] if work.is_gpu else [ProfilerActivity.CPU]
    with record(activities=activities) as found:
        joint(inputs)
        work.now()
    events = found.key_averages()

    def time_of(event: Any) -> float:
        return float(event.self_device_time_total if work.is_gpu else event.self_cpu_time_total) / 1e3

    total = math.fsum(map(time_of, events))
    longest = sorted(events, key=time_of, reverse=True)[:24]
    return {
        "all kernels, ms": round(total, 1),
        "longest, ms and calls": {event.key[:90]: [round(time_of(event), 2), event.count] for event in longest},
    }


def require_compiler(work: Work) -> None:
    """Make sure that something can be compiled; tried once.

    Raises:
        MissingError: it cannot.
    """
    if work.has_compiler:
        return
    try:
        check_compiler(work.device)
    except ConfigError as problem:
        raise MissingError(str(problem)) from problem
    work.has_compiler = True
