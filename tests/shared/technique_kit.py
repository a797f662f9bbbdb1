"""Techniques on small joint models, each applied as the product applies it, and the numbers that it must give.

The plain forward is the measure. Techniques that change numbers (a LoRA, quantised layers, layer-wise casting) are
measured against plain layers with the weights that they stand for; the step cache against itself on such layers.
"""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import distributed, nn

from mova.diffusion.guidance import Branch
from mova.distributed import fsdp
from mova.distributed.context_parallel import ContextParallel
from mova.distributed.mesh import Parallel, start_parallel
from mova.kernels import cpu_linear
from mova.kernels.compile import compile_blocks
from mova.kernels.cpu_conv import fold_causal_convolutions
from mova.kernels.techniques import Technique, gives_way, refusal
from mova.kernels.text_cache import TextCache
from mova.models.dual_tower import DualTower
from mova.offload.activations import recompute_blocks
from mova.offload.residency import OffloadedWeights, frozen_tensors
from mova.offload.streaming import BlockStreamer, outside_blocks
from mova.pipeline.loop.parallel import Spread
from mova.pipeline.loop.side_stream import SideStream
from mova.pipeline.loop.step_cache import StepCache
from mova.pipeline.loop.velocity import TextConditions, VelocityModel
from mova.types import LatentPair
from mova.weights.lora.adapters import Lora, LoraLayer
from mova.weights.lora.merge import MergedLoras
from mova.weights.quantize.layers import quantized_layers
from quantised import quantise
from shared_forward import distance, make_model

CPU = torch.device("cpu")
NUM_STEPS = 3
CHANGES_WEIGHTS = (Technique.LORA, Technique.QUANTISED, Technique.CASTING)


class Streams:
    """Queues of a device that does everything at once."""

    class _Queue:
        def record_event(self) -> None:
            """Nothing waits."""

        def wait_event(self, _event: object) -> None:
            """Nothing to wait for."""

    def __init__(self) -> None:
        self.side, self._main = Streams._Queue(), Streams._Queue()

    def current(self) -> Any:
        return self._main

    def use(self, _stream: object) -> contextlib.AbstractContextManager[object]:
        return contextlib.nullcontext()

    def keep(self, _tensor: torch.Tensor, _stream: object) -> None:
        """Memory stays."""


class Kit:
    """A joint model with techniques; use as a context manager.

    Args:
        parallel: this process among others.
    """

    def __init__(self, parallel: Parallel | None = None) -> None:
        self.model: DualTower = make_model().eval().requires_grad_(False)
        self.parallel = parallel
        self.vae: Any = None
        self.cache: StepCache | None = None
        self.text: TextCache | None = None
        self.applied: list[Technique] = []
        self._offloaded: OffloadedWeights | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Kit:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.close()

    @property
    def parts(self) -> dict[str, Any]:
        model = self.model
        return {"video_dit": model.video_tower, "audio_dit": model.audio_tower, "dual_tower_bridge": model.bridge}

    def apply(self, techniques: Iterable[Technique]) -> None:
        for technique in sorted(techniques, key=list(Technique).index):
            getattr(self, f"_{technique.name.lower()}")()
            self.applied.append(technique)

    def steps(self) -> list[torch.Tensor]:
        """Return the velocities of some steps, and a clip of an autoencoder where there is one."""
        found: list[torch.Tensor] = []
        prompt = inputs(0)[4]
        with torch.no_grad():
            for step in range(NUM_STEPS):
                if self._offloaded:
                    self._offloaded.onload()
                if self.cache:
                    self.cache.begin("high_noise", ("all",))
                values = inputs(step)[:4]
                with self._text(prompt) as text:
                    velocities = self.model(*values, text, frame_rate=24.0)
                found += [velocities.video, velocities.audio]
                if self._offloaded:
                    self._offloaded.offload()
            if self.vae is not None:
                found.append(self.vae.decode(torch.ones(1, self.vae.config.z_dim, 2, 2, 2)).sample)
        return found

    def branches(self) -> list[torch.Tensor]:
        """Return the velocities of two branches of the guidance, each evaluated by one process where there are two."""
        values = inputs(0)
        texts = TextConditions(values[4], -values[4])
        model = VelocityModel(
            self.model,
            self.model,
            texts,
            values[0][:, 16:],
            24.0,
            batch_branches=False,
            remember_text=Technique.TEXT_CACHE in self.applied,
            free_bytes=None,
        )
        spread = Technique.BRANCH_PARALLEL in self.applied
        ask = Spread(self.parallel).velocities(model) if spread and self.parallel else model
        found: list[torch.Tensor] = []
        with torch.no_grad():
            for _ in range(2):
                latents = LatentPair(values[0][:, :16], values[1])
                both = ask([Branch(True, True), Branch(False, True)], latents, *values[2:4], "high_noise")
                found += [tensor for one in both for tensor in (one.video, one.audio)]
            if self.vae is not None:
                found.append(self.vae.decode(torch.ones(1, self.vae.config.z_dim, 2, 2, 2)).sample)
        return found

    def gradients(self) -> list[torch.Tensor]:
        """Return velocities and the gradients of what enters, of one step."""
        if self._offloaded:
            self._offloaded.onload()
        values = [value.requires_grad_(index in (0, 1, 4)) for index, value in enumerate(inputs(0))]
        velocities = self.model(*values, frame_rate=24.0)
        (velocities.video.square().mean() + 0.3 * (velocities.audio - 1).square().mean()).backward()
        return [velocities.video.detach(), velocities.audio.detach(), *(values[i].grad for i in (0, 1, 4))]

    def _text(self, prompt: torch.Tensor) -> contextlib.AbstractContextManager[torch.Tensor]:
        if Technique.TEXT_CACHE not in self.applied:
            return contextlib.nullcontext(prompt)
        self.text = self.text or TextCache(prompt)
        return self.text.applied(self.model.video_tower, self.model.audio_tower)

    def _lora(self) -> None:
        MergedLoras(self.parts).apply([(lora(), 1.0)])

    def _quantised(self) -> None:
        for part in self.parts.values():
            quantise(part, "int8")

    def _casting(self) -> None:
        for part in self.parts.values():
            part.enable_layerwise_casting(storage_dtype=torch.bfloat16, compute_dtype=torch.float32)

    def _folded(self) -> None:
        self.vae = autoencoder()
        assert fold_causal_convolutions(self.vae) > 0

    def _onednn(self) -> None:
        self._stack.enter_context(mock.patch.object(cpu_linear, "MIN_ROWS", 1))
        cpu_linear.use_onednn_linears([self.model])

    def _compiled(self) -> None:
        torch._dynamo.reset()
        self._stack.callback(torch._dynamo.reset)
        assert compile_blocks(self.parts.values(), backend="eager") > 0

    def _checkpointing(self) -> None:
        recompute_blocks(self.parts.values())

    def _activation_offload(self) -> None:
        recompute_blocks(self.parts.values(), offload=True)

    def _phases(self) -> None:
        # Offloaded in float64, in which nothing computes: what is not brought for its use is an error.
        tensors = [tensor for tensor in frozen_tensors(self.model) if tensor.is_floating_point()]
        for tensor in tensors:
            tensor.data = tensor.data.double()
        self._offloaded = OffloadedWeights(tensors, CPU, lambda _: torch.float32)

    def _streaming(self) -> None:
        if self._offloaded:
            # As a placement does: blocks are streamed, the rest is offloaded by phases.
            self._offloaded.onload()
            self._offloaded = None
            rest = [tensor for part in self.parts.values() for tensor in outside_blocks(part)]
            for tensor in rest:
                tensor.data = tensor.data.double()
            self._offloaded = OffloadedWeights(rest, CPU, lambda _: torch.float32)
        streamer = BlockStreamer(self.parts.values(), CPU)
        self._stack.callback(streamer.remove)

    def _group_offload(self) -> None:
        for part in self.parts.values():
            part.enable_group_offload(
                onload_device=CPU, offload_device=CPU, offload_type="block_level", num_blocks_per_group=1
            )

    def _sharded(self) -> None:
        if self.parallel is None:
            # One process with a mesh of one: weights are parts all the same until a hook gathers them.
            distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
            self._stack.callback(distributed.destroy_process_group)
            mesh = distributed.device_mesh.init_device_mesh("cpu", (1,), mesh_dim_names=("shard",))
            with mock.patch.multiple(fsdp, num_shards=mock.Mock(return_value=2), _mesh=mock.Mock(return_value=mesh)):
                fsdp.shard_model(self.model, self.parts, Parallel(mesh=mesh))
        else:
            fsdp.shard_model(self.model, self.parts, self.parallel)

    def _context_parallel(self) -> None:
        assert self.parallel is not None
        self._stack.callback(ContextParallel(self.parts, self.parallel).remove)

    def _branch_parallel(self) -> None:
        assert self.parallel is not None

    def _step_cache(self) -> None:
        self.cache = self._stack.enter_context(StepCache([self.model], threshold=0.9))

    def _side_stream(self) -> None:
        self._stack.enter_context(SideStream([self.model], Streams()))

    def _text_cache(self) -> None:
        """Applied around each call."""


def inputs(step: int) -> list[torch.Tensor]:
    """Return latents, noise levels and a text; those of the steps are near each other."""
    first, later = (torch.Generator().manual_seed(seed) for seed in (1, 2 + step))
    shapes = [(1, 36, 2, 6, 2), (1, 8, 9)]
    video, audio = (torch.randn(shape, generator=first) for shape in shapes)
    text = torch.randn(1, 6, 24, generator=first)
    video, audio = (value + 0.01 * torch.randn(value.shape, generator=later) for value in (video, audio))
    return [video, audio, torch.tensor([900.0 - step]), torch.tensor([700.0 - step]), text]


def lora() -> Lora:
    generator = torch.Generator().manual_seed(3)
    down, up = torch.randn(2, 96, generator=generator) / 9, torch.randn(96, 2, generator=generator) / 9
    return Lora({"video_dit": {"blocks.0.self_attn.q": LoraLayer(down, up, alpha=2.0)}})


def autoencoder() -> Any:
    from diffusers import AutoencoderKLWan

    torch.manual_seed(0)
    made = AutoencoderKLWan(base_dim=8, dim_mult=[1, 2], num_res_blocks=1, temperal_downsample=[True], z_dim=4)
    return made.eval().requires_grad_(False)


def expected(techniques: Iterable[Technique], read: Callable[[Kit], list[torch.Tensor]]) -> list[torch.Tensor]:
    """Return what techniques must give: the plain forward, on the weights that they stand for."""
    matters = (*CHANGES_WEIGHTS, Technique.STEP_CACHE, Technique.FOLDED)
    return _expected(tuple(one for one in Technique if one in techniques and one in matters), read)


@functools.cache
def _expected(techniques: tuple[Technique, ...], read: Callable[[Kit], list[torch.Tensor]]) -> list[torch.Tensor]:
    with Kit() as kit:
        for technique in techniques:
            if technique in CHANGES_WEIGHTS:
                kit.apply([technique])
                _make_plain(kit.model, technique)
                kit.applied.clear()
        kit.apply([Technique.STEP_CACHE] if Technique.STEP_CACHE in techniques else [])
        if Technique.FOLDED in techniques:
            kit.vae = autoencoder()
        return read(kit)


def far(made: list[torch.Tensor], wanted: list[torch.Tensor]) -> float:
    """Return the largest relative distance of two results."""
    assert len(made) == len(wanted)
    return max(distance(one, other) for one, other in zip(made, wanted, strict=True))


def _make_plain(model: DualTower, technique: Technique) -> None:
    if technique is Technique.QUANTISED:
        for path, layer in quantized_layers(model).items():
            plain = nn.Linear(layer.in_features, layer.out_features, layer.bias is not None)
            with torch.no_grad():
                plain.weight.copy_(layer.dense())
                if layer.bias is not None:
                    plain.bias.copy_(layer.bias)
            model.set_submodule(path, plain.requires_grad_(False))
    elif technique is Technique.CASTING:
        rounded = {key: value.float() for key, value in copy.deepcopy(model.state_dict()).items()}
        fresh = make_model().eval().requires_grad_(False)
        fresh.load_state_dict(rounded)
        model.video_tower, model.audio_tower, model.bridge = fresh.video_tower, fresh.audio_tower, fresh.bridge


def pairs_job(_rank: int, _folder: Path) -> dict[str, float]:
    """Return how far each pair with a technique of several processes is from one process, in two of them."""
    found: dict[str, float] = {}
    for several, sizes in ((Technique.CONTEXT_PARALLEL, {"ring": 2}), (Technique.BRANCH_PARALLEL, {"replicate": 2})):
        parallel = start_parallel(**sizes)
        read = Kit.branches if several is Technique.BRANCH_PARALLEL else Kit.steps
        for other in alone():
            if allowed(several, other):
                with Kit(parallel) as kit:
                    kit.apply([several, other])
                    found[f"{several.name} {other.name}"] = far(read(kit), expected([other], read))
    return found


def alone() -> list[Technique]:
    """Return the techniques that can be applied in the two processes of `pairs_job`, each with another one."""
    return [one for one in Technique if one not in (Technique.CONTEXT_PARALLEL, Technique.BRANCH_PARALLEL)]


def allowed(first: Technique, second: Technique) -> bool:
    return refusal(first, second) is None and gives_way(first, second) is None
