"""Casts and moves the weights of a pipeline, or lets them rest, in the words of diffusers."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Self, cast

import torch
from torch import nn

from mova.codecs.video import cast_decoder, decoder_dtype
from mova.device import choose_device
from mova.errors import ConfigError
from mova.files.json_file import shorten
from mova.geometry import ClipGeometry
from mova.names import AUTOENCODERS, COMPONENTS, ENCODERS, NETWORKS, VIDEO_AUTOENCODER
from mova.offload.placement import Placement
from mova.plan.free import room_of
from mova.plan.memory import MemoryPlan, plan_memory
from mova.weights.components import kept_in_float32
from mova.weights.dims import dims_from_configs
from mova.weights.quantize.layers import quantized_method, quantized_tensors

if TYPE_CHECKING:
    from diffusers import AutoencoderKLWan

    from mova.distributed.mesh import Parallel
    from mova.pipeline.sharing import WeightState
    from mova.weights.locate import ModelDefaults

logger = logging.getLogger(__name__)

DTYPES: Final = (torch.float32, torch.bfloat16, torch.float16)


class MovingMixin:
    """Where the weights of a pipeline are, and in which dtype, after it was loaded."""

    placement: Placement | None
    defaults: ModelDefaults
    _state: WeightState
    _merged: Any

    if TYPE_CHECKING:

        @property
        def parallel(self) -> Parallel: ...

    @property
    def dtype(self) -> torch.dtype:
        """In which towers and bridge compute."""
        if self.placement is not None:
            return self.placement.dtype
        dtype: torch.dtype = self.__dict__["video_dit"].dtype
        return dtype

    def to(
        self,
        *args: object,
        dtype: torch.dtype | None = None,
        device: torch.device | str | int | None = None,
        silence_dtype_warnings: bool = False,  # noqa: ARG002 - a word of diffusers; there is nothing to silence
    ) -> Self:
        """Cast and move the weights: `to(dtype)`, `to(device)`, `to(device, dtype)`, or with keywords.

        Towers, bridge and text encoder get the dtype; what is float32 for a reason is so (the autoencoders, timestep
        embedding and modulation), as when a model is loaded in that dtype.

        Returns:
            This pipeline.

        Raises:
            ConfigError: a dtype that is not float32, bfloat16 or float16, a device that is not there, quantised weights
                with a dtype, weights that are offloaded or sharded over processes with another device.
        """
        wanted_device, wanted = _arguments(args, dtype, device)
        target = None if wanted_device is None else choose_device(wanted_device)
        with self._state.turns.change("dtype and device"):
            if self.parallel.world_size > 1:
                raise ConfigError("weights that several processes use stay as they are; load the model again instead")
            if wanted is not None and wanted != self.dtype:
                self._refuse_quantized_cast(wanted)
            if self.placement is not None:
                self._to_placed(self.placement, target, wanted)
                return self
            if wanted is not None:
                self._cast(wanted)
            if target is not None:
                for network in self._networks().values():
                    network.to(target)
        return self

    def enable_model_cpu_offload(self, gpu_id: int | None = None, device: torch.device | str | None = None) -> None:
        """Let whole components rest on the host until their phase of a call: our placement "phases".

        Args:
            gpu_id: of the device that computes.
            device: likewise; None takes a GPU, and without one nothing happens, which the log says.
        """
        self._rest("phases", gpu_id, device)

    def enable_sequential_cpu_offload(
        self, gpu_id: int | None = None, device: torch.device | str | None = None
    ) -> None:
        """Offload blocks to the host until their turn, with prefetch of the next one: our placement "stream"."""
        self._rest("stream", gpu_id, device)

    def enable_group_offload(
        self,
        onload_device: torch.device | str | None = None,
        offload_device: torch.device | str = "cpu",
        offload_type: str = "block_level",
        *,
        offload_to_disk_path: str | None = None,
        exclude_modules: str | Sequence[str] | None = None,
        **options: object,
    ) -> None:
        """Offload blocks to the host ("stream"), or where they were loaded from with `offload_to_disk_path` ("disk").

        What else diffusers takes is settled here by the placement: blocks go one by one, on a stream of their own.

        Raises:
            ConfigError: blocks that are to be offloaded to another device than the host, modules that are to be left
                out, or a keyword that diffusers does not have.
        """
        known = ("num_blocks_per_group", "non_blocking", "use_stream", "record_stream", "low_cpu_mem_usage")
        for name in options:
            if name not in known:
                raise ConfigError(f"enable_group_offload takes {', '.join(known)} besides, got {shorten(name)}")
        if torch.device(offload_device).type != "cpu":
            raise ConfigError(f"offload_device must be cpu, where blocks are offloaded to, got {offload_device}")
        if offload_type not in ("block_level", "leaf_level"):
            raise ConfigError(f"offload_type must be block_level or leaf_level, got {offload_type!r}")
        if exclude_modules:
            raise ConfigError(
                f"exclude_modules must be empty: all towers are offloaded, got {shorten(exclude_modules)}"
            )
        self._rest("stream" if offload_to_disk_path is None else "disk", None, onload_device)

    def remove_all_hooks(self) -> None:
        """Bring all weights to the device that computes, and leave them there: our placement "resident"."""
        with self._state.turns.change("the placement"):
            if self.placement is not None:
                device, dtype, decoding = self.placement.device, self.placement.dtype, self.placement.decoding
                self._wake(self.placement)
                self._cast(dtype, decoding)
                for network in self._networks().values():
                    network.to(device)

    def reset_device_map(self) -> None:
        """Bring all weights to the host and leave them there."""
        self.remove_all_hooks()
        self.to("cpu")

    def _rest(self, placement: str, gpu_id: int | None, device: torch.device | str | None) -> None:
        if device is None and gpu_id is not None:
            device = f"cuda:{gpu_id}"
        target = choose_device(device)
        if device is None and target.type == "cpu":
            logger.info("there is no GPU to free memory of: weights stay as they are (%s was asked for)", placement)
            return
        with self._state.turns.change("the placement"):
            if self.parallel.world_size > 1:
                raise ConfigError("weights that several processes use stay on their devices; start one process instead")
            dtype = self.dtype
            if self.placement is not None:
                self._wake(self.placement)
            networks = self._networks()
            # A GPU decodes in float32.
            decoding = torch.float32 if target.type != "cpu" else self._decoding()
            for network in networks.values():
                network.to("cpu")
            self.placement = Placement(networks, target, self._plan(placement, networks, target), dtype, decoding)

    def _to_placed(self, placement: Placement, device: torch.device | None, dtype: torch.dtype | None) -> None:
        if device is not None and device.type != placement.device.type:
            raise ConfigError(
                f"weights are offloaded (memory={placement.plan.placement}) and onloaded to {placement.device}, got "
                f"to({device}); call remove_all_hooks() first, or load the model with runtime=Runtime('resident')"
            )
        if dtype is not None and dtype != placement.dtype:
            self._wake(placement)
            self.placement = Placement(self._networks(), placement.device, placement.plan, dtype)

    def _wake(self, placement: Placement) -> None:
        placement.remove()
        self.placement = None

    def _cast(self, dtype: torch.dtype, decoding: torch.dtype = torch.float32) -> None:
        """Cast what computes in a chosen dtype; of the autoencoders the video decoder alone, in its own."""
        for name, network in self._networks().items():
            if name not in AUTOENCODERS:
                kept, quantized = kept_in_float32(network, dtype), quantized_tensors(network)
                for key, tensor in network.state_dict(keep_vars=True).items():
                    if tensor.is_floating_point() and key not in quantized:
                        stays = any(part in key.split(".") for part in kept)
                        tensor.data = tensor.data.to(torch.float32 if stays else dtype)
            elif name == VIDEO_AUTOENCODER:
                cast_decoder(cast("AutoencoderKLWan", network), decoding)
        if self._merged is not None:
            self._merged.cast()

    def _decoding(self) -> torch.dtype:
        vae: AutoencoderKLWan | None = self.__dict__["video_vae"]
        return torch.float32 if vae is None else decoder_dtype(vae)

    def _networks(self) -> dict[str, nn.Module]:
        found: dict[str, nn.Module | None] = {name: vars(self)[name] for name in NETWORKS}
        return {name: network for name, network in found.items() if network is not None}

    def _refuse_quantized_cast(self, dtype: torch.dtype) -> None:
        method = next(
            (quantized_method(network) for name, network in self._networks().items() if name in COMPONENTS), None
        )
        if method is not None:
            raise ConfigError(
                f"weights quantised as {method} keep the dtype they compute in ({self.dtype}), got {dtype}; load the "
                "model with dtype= instead"
            )

    def _plan(self, placement: str, networks: Mapping[str, nn.Module], device: torch.device) -> MemoryPlan:
        configs: dict[str, dict[str, Any]] = {}
        for name, network in networks.items():
            config: Any = network.config
            configs[name] = config.to_dict() if hasattr(config, "to_dict") else dict(config)
        counted = {
            name: sum(tensor.numel() for tensor in networks[name].parameters()) for name in ENCODERS if name in networks
        }
        bridge: Any = networks["dual_tower_bridge"]
        layers = len(bridge.audio_to_video_conditioners), len(bridge.video_to_audio_conditioners)
        dims = dims_from_configs("the pipeline", configs, {"text_encoder": 0} | counted, bridge_layers=layers)
        chosen = self.defaults
        geometry = ClipGeometry(chosen.height, chosen.width, chosen.num_frames, chosen.frame_rate, dims.codec)
        room = room_of(device)
        plans = plan_memory(dims, geometry, is_gpu=room.is_gpu)
        return room.ahead_where_it_fits(next(plan for plan in plans if plan.placement == placement))


def _arguments(args: tuple[Any, ...], dtype: Any, device: Any) -> tuple[Any, torch.dtype | None]:
    """Return device and dtype of the forms of `to` that diffusers has."""
    if len(args) > 2:
        raise ConfigError(f"to takes a device and a dtype, got {len(args)} values")
    given: dict[str, Any] = {}
    for value in args:
        if value is not None:
            kind = "dtype" if isinstance(value, torch.dtype) else "device"
            if kind in given:
                raise ConfigError(f"to takes one {kind}, got {shorten(args)}")
            given[kind] = value
    for kind, value in (("dtype", dtype), ("device", device)):
        if value is not None:
            if kind in given:
                raise ConfigError(f"{kind} is given twice: {given[kind]} and {value}")
            given[kind] = value
    wanted = given.get("dtype")
    if wanted is not None:
        check_dtype(wanted)
    return given.get("device"), wanted


def check_dtype(dtype: object) -> torch.dtype:
    """Return a dtype that towers can compute in.

    Raises:
        ConfigError: another one.
    """
    if isinstance(dtype, torch.dtype) and dtype in DTYPES:
        return dtype
    raise ConfigError(f"dtype must be one of {', '.join(map(str, DTYPES))}, got {shorten(dtype)}; nearest is bfloat16")
