"""The parts of a model from its directory: every one is checked before the first weight is read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, Unpack

import torch

from mova.checks import MAX_STEPS
from mova.codecs.prompt import load_tokenizer
from mova.codecs.video import cast_decoder
from mova.diffusion.schedule import PairedFlowMatchScheduler
from mova.distributed.mesh import ALONE, Parallel
from mova.errors import CheckpointError, ConfigError
from mova.files.json_file import read_object, shorten, shorten_text
from mova.geometry import ClipGeometry
from mova.kernels.cpu_conv import fold_causal_convolutions
from mova.names import (
    COMPONENTS,
    FEW_STEPS_FILE,
    NETWORKS,
    OPTIONAL_COMPONENTS,
    PUBLISHED_COMPONENTS,
    VIDEO_AUTOENCODER,
)
from mova.offload.placement import Placement
from mova.pipeline.kernels import check_kernels, use_kernels, use_linears
from mova.pipeline.loading.quantized import load_quantized, plan_quantization
from mova.pipeline.loading.shard import ShardedComponents, WeightedLoras
from mova.pipeline.lora import check_lora_scale
from mova.pipeline.precision import Dtypes, DtypeWishes, choose_dtypes
from mova.pipeline.runtime import Runtime
from mova.plan.free import room_of
from mova.plan.memory import GB, MemoryPlan, check_memory, choose_placement, plan_memory
from mova.plan.step_cache import StepCacheUse
from mova.weights.agreement import check_agreement
from mova.weights.components import key_shapes, load_component, verify_component
from mova.weights.config_limits import Rule
from mova.weights.dims import dims_from_directory
from mova.weights.hub import Hub
from mova.weights.index import check_index, read_index
from mova.weights.locate import (
    ModelDefaults,
    bears_bfloat16,
    find_model,
    note_unknown_size,
    read_defaults,
)
from mova.weights.lora.adapters import fit_lora
from mova.weights.lora.file import read_lora
from mova.weights.lora.hub import locate_lora
from mova.weights.quantize.layout import Method

logger = logging.getLogger(__name__)

_SCHEDULER_RULES = {
    "num_inference_steps": Rule("integer", 1, MAX_STEPS),
    "num_train_timesteps": Rule("integer", 1, 1_000_000),
    "shift": Rule("number", 1e-6, 1e6),
    "sigma_max": Rule("number", 0, 1),
    "sigma_min": Rule("number", 0, 1),
    "inverse_timesteps": Rule("flag"),
    "extra_one_step": Rule("flag"),
    "reverse_sigmas": Rule("flag"),
    "exponential_shift": Rule("flag"),
    "exponential_shift_mu": Rule("number", -100, 100, nullable=True),
    "shift_terminal": Rule("number", 0, 1, nullable=True),
}


class LoadOptions(TypedDict, total=False):
    """Options of `read_model` by name, for functions that pass them on."""

    dtype: torch.dtype | None
    device: torch.device | str
    loras: Sequence[tuple[str | Path, float]]
    parallel: Parallel | None
    shard_weights: bool
    runtime: Runtime | None
    geometry: ClipGeometry | None
    step_cache: StepCacheUse | None
    on_bytes: Callable[[int, int], None]
    hub: Hub | None
    given: Mapping[str, Any] | None


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """What a pipeline is made of.

    Attributes:
        parts: components and settings, by the names of the pipeline's arguments.
        defaults: what the model recommends.
        folder: the model's directory; None where there is none.
        placement: of the weights; None where all are on the device.
        merged_loras: LoRAs that are in quantised weights already, with their scales.
        loras: LoRAs that are still to act.
        parallel: this process among those that generate together.
        shards: rows of sharded components, with their LoRAs.
    """

    parts: Mapping[str, Any]
    defaults: ModelDefaults | None = None
    folder: Path | None = None
    placement: Placement | None = None
    merged_loras: WeightedLoras = ()
    loras: WeightedLoras = ()
    parallel: Parallel | None = None
    shards: ShardedComponents | None = None

    @property
    def few_steps_file(self) -> Path | None:
        """Adapters for few steps that the model brings along."""
        file = None if self.folder is None else self.folder / FEW_STEPS_FILE
        return file if file is not None and file.is_file() else None


def read_model(
    model: str | Path,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    loras: Sequence[tuple[str | Path, float]] = (),
    parallel: Parallel | None = None,
    shard_weights: bool = False,
    runtime: Runtime | None = None,
    geometry: ClipGeometry | None = None,
    step_cache: StepCacheUse | None = None,
    on_bytes: Callable[[int, int], None] = lambda *_: None,
    hub: Hub | None = None,
    given: Mapping[str, object] | None = None,
) -> LoadedModel:
    """Read what a pipeline is made of.

    Args:
        model: a shipped name, a directory in the published layout, or a hub id (see `find_model`).
        dtype: of towers, bridge and text encoder, with float32 autoencoders; None leaves it to the precision of
            `runtime`, which is float32 on a CPU and bf16 elsewhere if it says nothing.
        device: where everything goes.
        loras: LoRAs and their scales: files, folders or hub ids, as for `MovaPipeline.load_lora_weights`.
        parallel: this process among those that generate together (see `enable_parallelism`); all of them must make this
            call. Only rank 0 loads the text encoder.
        shard_weights: of towers and bridge each process of a group holds its rows only. Their LoRAs cannot be changed.
        runtime: memory, quantisation, kernels and precision; by default those of `Runtime`. LoRAs of quantised weights
            are merged before quantisation and cannot be changed.
        geometry: of the clips that memory is chosen for; by default of the model's recommended ones.
        step_cache: that memory is chosen for too; none by default.
        on_bytes: called with (done, in all), bytes of weight files, when a component is loaded.
        hub: how a repository of the hub is asked for.
        given: components that take the place of those of the model, by name; None for `video_dit_2` leaves it out.

    Raises:
        ConfigError: `shard_weights` without other processes, or of quantised weights; a placement other than "resident"
            with other processes; no placement has room for the clip; kernels that cannot run here; both a dtype and a
            precision.
        MissingExtraError: what quantises weights is not installed.
        CheckpointError: a missing component, a wrong class, weights that do not fit: the first offending key and the
            counts. Nothing has been loaded then. Likewise LoRAs that do not fit, with all their offending keys.
    """
    runtime = runtime or Runtime()
    folder, given = find_model(model, hub), given or {}
    index = read_index(folder)
    present = tuple(name for name in check_index(folder, index) if name not in given)
    for _, scale in loras:
        check_lora_scale(scale)
    methods = plan_quantization(
        {name: folder / name for name in COMPONENTS if name in present},
        runtime.quantization,
        has_loras=bool(loras),
        shard_weights=shard_weights,
    )
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    for name in present:
        if name in NETWORKS:
            verified = verify_component(folder / name, PUBLISHED_COMPONENTS[name][1])
            if name in COMPONENTS:
                shapes[name] = key_shapes(verified)
    check_agreement(folder)
    fitted = [(fit_lora(read_lora(*locate_lora(path)), shapes), scale) for path, scale in loras]
    defaults = read_defaults(folder, model)
    scheduler = given.get("scheduler") or load_scheduler(folder / "scheduler")
    tokenizer = given.get("tokenizer") or load_tokenizer(folder / "tokenizer")
    device = torch.device(device)
    holds = bears_bfloat16(folder, defaults, is_quantized=bool(methods))
    dtypes = _same_dtypes(parallel, device, dtype=dtype, precision=runtime.precision, holds=holds)
    dtype = dtypes.towers
    check_kernels(runtime, folder, device, dtype, parallel)
    quantization = next(iter(methods.values()), None)
    plan = _choose_memory(
        model, folder, defaults, geometry, device, dtype, runtime.memory, quantization, parallel, step_cache
    )
    shards = _shards(parallel, device, dtype, fitted) if shard_weights else None
    is_placed = plan.placement != "resident"
    loading = _Loading(folder, dtypes, device, is_placed, methods, fitted, shards, parallel is None or parallel.is_main)
    networks: dict[str, Any] = {name: None for name in OPTIONAL_COMPONENTS if name not in present}
    networks |= {name: given[name] for name in NETWORKS if name in given}
    networks |= loading.networks([name for name in present if name in NETWORKS], on_bytes)
    fold_causal_convolutions(networks["video_vae"])
    with_linears = [networks[name] for name in (*COMPONENTS, "text_encoder") if networks[name] is not None]
    use_linears(runtime, with_linears, device, dtype, parallel)
    use_kernels(runtime, (networks[name] for name in COMPONENTS if networks[name] is not None), device, parallel)
    settings: dict[str, Any] = {key: index[key] for key in ("audio_vae_type", "boundary_ratio") if key in index}
    present_networks = {name: network for name, network in networks.items() if network is not None}
    logger.debug("loaded %s: %s in %s on %s, %s", folder, ", ".join(networks), dtype, device, plan.placement)
    return LoadedModel(
        parts={"scheduler": scheduler, "tokenizer": tokenizer, **networks, **settings},
        defaults=defaults,
        folder=folder,
        placement=Placement(present_networks, device, plan, dtype, dtypes.decoding) if is_placed else None,
        merged_loras=fitted if methods else (),
        loras=() if methods else fitted,
        parallel=parallel,
        shards=shards,
    )


@dataclass(frozen=True)
class _Loading:
    """How the networks of a pipeline are loaded; fields as in `read_model`, with everything settled."""

    folder: Path
    dtypes: Dtypes
    device: torch.device
    is_placed: bool
    methods: Mapping[str, Method]
    loras: WeightedLoras
    shards: ShardedComponents | None
    is_main: bool

    def networks(self, names: Sequence[str], on_bytes: Callable[[int, int], None]) -> dict[str, Any]:
        """Load several networks and say after each how much of all their files has been read."""
        sizes = {
            name: sum(file.stat().st_size for file in (self.folder / name).glob("*.safetensors")) for name in names
        }
        loaded: dict[str, Any] = {}
        for name in names:
            loaded[name] = self.network(name)
            on_bytes(sum(sizes[read] for read in loaded), sum(sizes.values()))
        return loaded

    def network(self, name: str) -> Any:
        """Load a network; None for the text encoder of a process that encodes no texts."""
        folder, expected = self.folder / name, PUBLISHED_COMPONENTS[name][1]
        if name == "text_encoder" and not self.is_main:
            return None
        if name in COMPONENTS and self.shards is not None:
            return self.shards.empty(folder, name, expected)
        if name in self.methods:
            return load_quantized(
                folder,
                self.methods[name],
                expected_class=expected,
                dtype=self.dtypes.towers,
                device=self.device,
                loras=self.loras,
                is_resting=self.is_placed,
            )
        if self.is_placed:
            # What is offloaded stays in its files for now, in their dtype.
            return load_component(folder, expected_class=expected)
        network: Any = load_component(folder, expected_class=expected, dtype=self.dtypes.of(name), device=self.device)
        if name == VIDEO_AUTOENCODER:
            cast_decoder(network, self.dtypes.decoding)
        return network


def _same_dtypes(parallel: Parallel | None, device: torch.device, **wanted: Unpack[DtypeWishes]) -> Dtypes:
    """Return what is computed in on all processes: what rank 0 chooses (broadcast)."""
    return (parallel or ALONE).broadcast(lambda: choose_dtypes(device, **wanted))


def _choose_memory(
    model: str | Path,
    folder: Path,
    defaults: ModelDefaults,
    geometry: ClipGeometry | None,
    device: torch.device,
    dtype: torch.dtype,
    memory: str,
    quantization: str | None,
    parallel: Parallel | None,
    step_cache: StepCacheUse | None,
) -> MemoryPlan:
    """Return the placement that was asked for, or the fastest that fits."""
    dims = dims_from_directory(folder)
    note_unknown_size(folder, model, dims.video.dim)
    if geometry is None:
        geometry = ClipGeometry(defaults.height, defaults.width, defaults.num_frames, defaults.frame_rate, dims.codec)
    check_memory(memory, 1 if parallel is None else parallel.world_size)
    room = room_of(device)
    options: dict[str, Any] = {
        "quantization": quantization,
        "step_cache": step_cache,
        "element_bytes": dtype.itemsize,
    }
    plans = plan_memory(dims, geometry, is_gpu=room.is_gpu, **options)
    if memory != "auto" or parallel is not None:
        name = "resident" if parallel is not None else memory
        plan = next(plan for plan in plans if plan.placement == name)
        if parallel is None and not room.fits(plan):
            logger.warning(
                "memory=%s needs about %.1f GB, %.1f are free", name, plan.total_bytes / GB, room.device_bytes / GB
            )
        return room.ahead_where_it_fits(plan)
    plan = choose_placement(dims, geometry, room, **options)
    if plan.placement != "resident":
        logger.info("memory=%s: about %.1f GB at the peak", plan.placement, plan.total_bytes / GB)
    return plan


def _shards(
    parallel: Parallel | None, device: torch.device, dtype: torch.dtype, loras: WeightedLoras
) -> ShardedComponents:
    if parallel is None or parallel.mesh is None:
        raise ConfigError("shard_weights needs other processes to share the weights with, got one; start 2 or more")
    return ShardedComponents(parallel, device, dtype, loras)


def load_scheduler(folder: Path) -> PairedFlowMatchScheduler:
    """Build the scheduler from its published configuration.

    Raises:
        CheckpointError: another class, or a key that the scheduler does not have.
    """
    config = read_object(folder / "scheduler_config.json", error=CheckpointError)
    expected = PUBLISHED_COMPONENTS["scheduler"][1]
    if config.values.get("_class_name") not in (expected, PairedFlowMatchScheduler.__name__):
        raise CheckpointError(
            f"{folder} must hold a {expected}, its config says {shorten(config.values.get('_class_name'))}"
        )
    arguments = {
        key: _SCHEDULER_RULES[key].check(config, key) if key in _SCHEDULER_RULES else value
        for key, value in config.values.items()
        if not key.startswith("_")
    }
    try:
        scheduler: PairedFlowMatchScheduler = PairedFlowMatchScheduler(**arguments)
    except (TypeError, ConfigError) as error:
        raise CheckpointError(f"{config.where} cannot be used: {shorten_text(str(error))}") from error
    return scheduler
