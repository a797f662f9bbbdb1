"""Offloads the components of a pipeline, and onloads each to the device when its phase of a run comes.

What each placement is, and takes, is in `mova.plan.memory`. Hooks sit on modules that are called (decision 0001);
the weights are frozen, so nothing is ever copied back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Final

import torch
from torch import nn

from mova.codecs.video import DECODER_PARTS
from mova.codecs.video_bands import can_decode_bands, decode_in_bands
from mova.kernels.streams import streams_of
from mova.models.dual_tower import DualTower
from mova.names import (
    AUTOENCODERS,
    COMPONENTS,
    EXPERTS,
    SHARED_COMPONENTS,
    TEXT_ENCODER,
    VIDEO_AUTOENCODER,
    Expert,
)
from mova.offload.residency import OffloadedWeights, frozen_tensors
from mova.offload.stores import StoreKind
from mova.offload.streaming import BlockStreamer, outside_blocks
from mova.plan.memory import MemoryPlan
from mova.weights.components import kept_in_float32

VIDEO_TOWERS: Final = tuple(EXPERTS.values())
TEXT: Final = (TEXT_ENCODER,)

FETCH_AHEAD_STEPS: Final = 4
"""Steps before the first one of another expert at which it begins to be fetched, where there is room for both."""

Computing = Callable[[torch.Tensor], torch.dtype]


class Placement:
    """Where the weights of a pipeline are at each moment of a run: offloaded, or onloaded to the device.

    Args:
        components: networks by folder of the published layout, loaded on the host (best mapped from their files).
        device: device that computes.
        plan: chosen placement and number of bands; not "resident", which needs no placement.
        dtype: dtype that towers, bridge and text encoder compute in.
        decoding: dtype that the video autoencoder decodes in.

    Attributes:
        peak_weights_bytes: most bytes of weights that were on the device at once so far.
    """

    def __init__(
        self,
        components: Mapping[str, nn.Module],
        device: torch.device,
        plan: MemoryPlan,
        dtype: torch.dtype,
        decoding: torch.dtype = torch.float32,
    ) -> None:
        self.device, self.plan, self.dtype, self.decoding = device, plan, dtype, decoding
        self._components = dict(components)
        computing = _computing(self._components, dtype, decoding)
        for component in self._components.values():
            component.requires_grad_(False)
        self._streamers: dict[str, BlockStreamer] = {}
        if plan.placement in ("stream", "disk"):
            towers_store: StoreKind = "host" if plan.placement == "stream" else "files"
            # A text is read once per clip: not worth host memory of its own.
            streamed_from: tuple[tuple[str, tuple[str, ...], StoreKind], ...] = (
                ("towers", COMPONENTS, towers_store),
                ("text", TEXT, "files"),
            )
            for name, parts, kind in streamed_from:
                present = [self._components[part] for part in parts if part in self._components]
                if present:
                    self._streamers[name] = BlockStreamer(present, device, store=kind, computing=computing)
                    self._streamers[name].release_slots()
        streamed = (*COMPONENTS, *TEXT) if self._streamers else ()
        self._offloaded = {
            name: OffloadedWeights(
                outside_blocks(component) if name in streamed else frozen_tensors(component), device, computing
            )
            for name, component in self._components.items()
        }
        self._streams = streams_of(device) if plan.fetches_ahead else None
        # Experts of the steps to come, the next one first.
        self._coming: deque[str] = deque()
        self.peak_weights_bytes = 0

    @contextmanager
    def reading_text(self) -> Iterator[None]:
        """Onload the text encoder."""
        with self._onloaded(TEXT, "text"):
            yield

    @contextmanager
    def coding(self) -> Iterator[None]:
        """Onload the autoencoders."""
        with self._onloaded(AUTOENCODERS):
            yield

    @contextmanager
    def denoising(self, models: Iterable[object], experts: Sequence[Expert] = ()) -> Iterator[Callable[[], None]]:
        """Onload audio tower and bridge, and the expert that is called; the other expert is offloaded.

        Where that was planned, the expert of later steps is fetched ahead: it is on its way, or there, when its first
        step begins.

        Args:
            models: joint models that are called inside.
            experts: of each step; without them nothing is fetched ahead.

        Yields:
            What to call after each step.
        """
        names = {id(self._components[name]): name for name in VIDEO_TOWERS if name in self._components}
        with ExitStack() as stack:
            for model in models:
                if isinstance(model, DualTower):
                    handle = model.register_forward_pre_hook(lambda module, _: self._use(names[id(module.video_tower)]))
                    stack.callback(handle.remove)
            for name in names.values():
                stack.callback(self._offloaded[name].offload)
            stack.enter_context(self._onloaded(SHARED_COMPONENTS, "towers"))
            self._coming = deque(EXPERTS[expert] for expert in experts)
            stack.callback(self._coming.clear)
            yield self._end_step

    def decode(self, vae: object, latents: torch.Tensor) -> torch.Tensor:
        """Decode normalised latents to frames on the host, band by band where that was planned."""
        bands = self.plan.bands if can_decode_bands(vae) else 1
        return decode_in_bands(vae, latents, bands, output_device=torch.device("cpu"))

    def resident_bytes(self) -> int:
        """Return the bytes of weights on the device now, free slots included."""
        onloaded = sum(
            weights.device_bytes
            for weights in self._offloaded.values()
            if weights.is_onloaded or weights.is_fetched_ahead
        )
        return onloaded + sum(streamer.slot_bytes() for streamer in self._streamers.values())

    def host_bytes(self) -> int:
        """Return the bytes of blocks whose backing store is host memory of their own."""
        return sum(streamer.host_bytes() for streamer in self._streamers.values())

    def remove(self) -> None:
        """Leave all weights on the host, in ordinary memory or mapped files, and take the hooks off."""
        for weights in self._offloaded.values():
            weights.offload()
        for streamer in self._streamers.values():
            streamer.remove()

    def make_writable(self, tensors: Iterable[torch.Tensor]) -> None:
        """Give weights that are about to change in place memory of their own; all are offloaded afterwards."""
        wanted = {id(tensor) for tensor in tensors}
        for weights in self._offloaded.values():
            weights.offload()
            weights.make_writable(wanted)
        for streamer in self._streamers.values():
            streamer.release_slots()
            streamer.make_writable(wanted)

    def _use(self, expert: str) -> None:
        for name in VIDEO_TOWERS:
            if name != expert and name in self._offloaded:
                self._offloaded[name].offload()
        self._offloaded[expert].onload()
        self._fetch_ahead(expert)
        self._note()

    def _end_step(self) -> None:
        if self._coming:
            self._fetch_ahead(self._coming.popleft())
            self._note()

    def _fetch_ahead(self, present: str) -> None:
        """Begin to fetch the expert that follows the present one, if its first step is near."""
        soon = islice(self._coming, FETCH_AHEAD_STEPS + 1) if self.plan.fetches_ahead else ()
        following = next((name for name in soon if name != present), None)
        if following is not None:
            self._offloaded[following].fetch_ahead(self._streams)

    @contextmanager
    def _onloaded(self, names: Iterable[str], streamer: str = "") -> Iterator[None]:
        present = [self._offloaded[name] for name in names if name in self._offloaded]
        try:
            for weights in present:
                weights.onload()
            yield
        finally:
            self._note()
            for weights in present:
                weights.offload()
            if streamer in self._streamers:
                self._streamers[streamer].release_slots()

    def _note(self) -> None:
        self.peak_weights_bytes = max(self.peak_weights_bytes, self.resident_bytes())


def _computing(components: Mapping[str, nn.Module], dtype: torch.dtype, decoding: torch.dtype) -> Computing:
    """Return in which dtype a tensor of the components is computed with, by identity."""
    found: dict[int, torch.dtype] = {}
    for name, component in components.items():
        wanted = torch.float32 if name in AUTOENCODERS else dtype
        kept = kept_in_float32(component, dtype)
        for path, module in component.named_modules():
            decodes = name == VIDEO_AUTOENCODER and path.split(".")[0] in DECODER_PARTS
            is_quantized = hasattr(module, "scales")
            for key, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
                if (is_quantized and key != "bias") or not tensor.is_floating_point():
                    found[id(tensor)] = tensor.dtype
                    continue
                is_kept = any(part in f"{path}.{key}".split(".") for part in kept)
                found[id(tensor)] = torch.float32 if is_kept else decoding if decodes else wanted
    return lambda tensor: found[id(tensor)]
