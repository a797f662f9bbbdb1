"""Import paths of version 0.1: they still work, with a DeprecationWarning that names where things are now.

Both tables leave out "mova." in front. Nothing else knows of them: to end this, delete this file, its test and the two
lines of `mova/__init__.py` that install the finder. Pickles that name an old path are not read.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from importlib.abc import Loader  # light modules only: this one costs more than everything here together

FORMER_MODULES: Final[Mapping[str, str]] = {
    "cli.process": "cli.terminal.process",
    "cli.progress": "cli.terminal.progress",
    "cli.quick_start": "cli.terminal.quick_start",
    "cli.streams": "cli.terminal.streams",
    "codecs.conditioning": "conditioning.frames",
    "codecs.cpu_conv": "kernels.cpu_conv",
    "distributed.activation": "offload.activations",
    "distributed.allocations": "train.plan.allocations",
    "distributed.block_homes": "offload.stores",
    "distributed.mapped_pages": "offload.mapped_pages",
    "distributed.own_rows": "distributed.sharded_init",
    "distributed.residency": "offload.residency",
    "distributed.streaming": "offload.streaming",
    "evaluate.bootstrap": "evaluate.stats",
    "generate.agreement": "weights.agreement",
    "generate.arguments": "pipeline.inputs.arguments",
    "generate.bench": "bench.measure",
    "generate.bench_report": "bench.report",
    "generate.call_record": "pipeline.call_record",
    "generate.compilation": "kernels.compile",
    "generate.component_bytes": "plan.component_bytes",
    "generate.devices": "device",
    "generate.dims": "weights.dims",
    "generate.download": "weights.download",
    "generate.few_steps": "settings.few_steps",
    "generate.free_memory": "plan.free",
    "generate.gguf_convert": "weights.gguf.convert",
    "generate.gpus": "plan.gpus",
    "generate.hub": "weights.hub",
    "generate.inputs": "pipeline.inputs.media",
    "generate.kernels": "pipeline.kernels",
    "generate.known_files": "weights.known_files",
    "generate.launch": "distributed.launch",
    "generate.load": "pipeline.load",
    "generate.locate": "weights.locate",
    "generate.lora": "pipeline.lora",
    "generate.lora_convert": "weights.lora.convert",
    "generate.lora_hub": "weights.lora.hub",
    "generate.machine": "bench.machine",
    "generate.memory": "plan.memory",
    "generate.model_files": "weights.model_files",
    "generate.model_index": "weights.index",
    "generate.moving": "pipeline.moving",
    "generate.origin": "pipeline.origin",
    "generate.output": "pipeline.output",
    "generate.phases": "pipeline.phases",
    "generate.pipeline": "pipeline.pipeline",
    "generate.pixels": "pipeline.inputs.pixels",
    "generate.placement": "offload.placement",
    "generate.plan": "plan.cost",
    "generate.plan_report": "plan.report",
    "generate.published": "plan.published",
    "generate.quantization_report": "weights.quantize.report",
    "generate.quantized": "pipeline.loading.quantized",
    "generate.random_weights": "bench.random_weights",
    "generate.run_plan": "pipeline.run_plan",
    "generate.runtime": "pipeline.runtime",
    "generate.sampling": "pipeline.loop.sampling",
    "generate.save": "pipeline.loading.save",
    "generate.scope": "settings.scope",
    "generate.seeds": "settings.seeds",
    "generate.shard": "pipeline.loading.shard",
    "generate.sharing": "pipeline.sharing",
    "generate.side_stream": "pipeline.loop.side_stream",
    "generate.speed": "settings.speed",
    "generate.spread": "pipeline.loop.parallel",
    "generate.step_cache": "pipeline.loop.step_cache",
    "generate.storing": "pipeline.loading.storing",
    "generate.velocity": "pipeline.loop.velocity",
    "generate.weights": "weights.rewrite",
    "models.attention_backends": "kernels.attention_backends",
    "models.config_limits": "weights.config_limits",
    "models.convert": "weights.components",
    "models.cpu_attention": "kernels.cpu_attention",
    "models.cpu_linear": "kernels.cpu_linear",
    "models.gguf_blocks": "weights.gguf.blocks",
    "models.gguf_file": "weights.gguf.file",
    "models.lora": "weights.lora.adapters",
    "models.lora_alpha": "weights.lora.alpha",
    "models.lora_file": "weights.lora.file",
    "models.lora_keys": "weights.lora.keys",
    "models.lora_merge": "weights.lora.merge",
    "models.lora_pickle": "weights.lora.pickle_file",
    "models.lora_rank": "weights.lora.rank",
    "models.lora_source": "weights.lora.source",
    "models.lora_write": "weights.lora.write",
    "models.pack_stored": "weights.quantize.stored",
    "models.packed_layout": "weights.quantize.layout",
    "models.packing": "weights.quantize.codes",
    "models.prompt_memory": "kernels.text_cache",
    "models.quantize": "weights.quantize.layers",
    "models.stored_rows": "weights.rows",
    "models.weight_files": "weights.files",
    "toyworld.background": "toyworld.reading.background",
    "toyworld.ball": "toyworld.scenes.ball",
    "toyworld.balls": "toyworld.scenes.balls",
    "toyworld.detect_audio": "toyworld.reading.detect_audio",
    "toyworld.detect_mouth": "toyworld.reading.detect_mouth",
    "toyworld.detect_video": "toyworld.reading.detect_bounces",
    "toyworld.detect_voice": "toyworld.reading.detect_voice",
    "toyworld.duet": "toyworld.scenes.duet",
    "toyworld.face": "toyworld.scenes.face",
    "toyworld.keys": "toyworld.scenes.keys",
    "toyworld.mallet": "toyworld.scenes.mallet",
    "toyworld.measures": "toyworld.reading.measures",
    "toyworld.scene": "toyworld.scenes.scene",
    "toyworld.track": "toyworld.reading.track",
    "train.adapters": "train.build.adapters",
    "train.average": "train.loop.average",
    "train.batch": "data.batch",
    "train.cache": "data.cache",
    "train.cache_plan": "data.cache_plan",
    "train.cache_size": "data.cache_size",
    "train.checkpoint": "train.loop.checkpoint",
    "train.clip_record": "data.clip_record",
    "train.components": "train.build.components",
    "train.config.base": "recipe.base",
    "train.config.data": "data.config",
    "train.config.yaml_file": "recipe.yaml_file",
    "train.data": "train.stages.encoders.rendered",
    "train.distillation": "train.steps.distillation",
    "train.draws": "train.steps.draws",
    "train.dry_run": "train.plan.dry_run",
    "train.encode": "data.encode",
    "train.gauge": "train.steps.dependence",
    "train.interrupt": "train.loop.interrupt",
    "train.latents": "data.latents",
    "train.memory_plan": "train.plan.memory",
    "train.metrics": "train.loop.metrics",
    "train.muon": "train.loop.muon",
    "train.objective": "train.steps.objective",
    "train.optimizer": "train.loop.optimizer",
    "train.placement": "train.build.placement",
    "train.resume": "train.loop.resume",
    "train.sampler": "train.loop.sampler",
    "train.sources": "data.sources",
    "train.sources.base": "data.sources.base",
    "train.sources.files": "data.sources.files",
    "train.sources.items": "data.sources.items",
    "train.sources.metadata": "data.sources.metadata",
    "train.sources.scan": "data.sources.scan",
    "train.sources.shards": "data.sources.shards",
    "train.sources.split": "data.sources.split",
    "train.sources.toy": "data.sources.toy",
    "train.stages.audio_autoencoder": "train.stages.encoders.audio_autoencoder",
    "train.stages.clip_pool": "train.stages.encoders.clip_pool",
    "train.stages.seeded": "train.stages.encoders.seeded",
    "train.stages.text_encoder": "train.stages.encoders.text_encoder",
    "train.stages.video_autoencoder": "train.stages.encoders.video_autoencoder",
    "train.started_from": "train.loop.started_from",
    "train.state": "train.loop.state",
    "train.state_index": "train.loop.state_index",
    "train.trainer": "train.loop.trainer",
    "train.unit_memory": "train.plan.unit_memory",
    "train.workers": "data.workers",
}
"""Modules and their successors."""

FORMER_NAMES: Final[Mapping[str, str]] = {
    "cli.options:parse_size": "settings.size:parse_size",
    "diffusion.adaptive_guidance:Agree": "diffusion.adaptive_guidance:BroadcastFlag",
    "diffusion.denoise:Expert": "names:Expert",
    "distributed.block_homes:FileHome": "offload.stores:FileStore",
    "distributed.block_homes:HomeKind": "offload.stores:StoreKind",
    "distributed.block_homes:HostHome": "offload.stores:HostStore",
    "distributed.block_homes:make_home": "offload.stores:make_store",
    "distributed.collectives:pass_on": "distributed.collectives:ring_exchange",
    "distributed.fsdp:add_up_gradients": "distributed.fsdp:all_reduce_gradients",
    "distributed.own_rows:OwnRows": "distributed.sharded_init:ShardedInit",
    "distributed.own_rows:standing_in": "distributed.sharded_init:placeholder_weights",
    "distributed.residency:Sleeper": "offload.residency:OffloadedWeights",
    "distributed.streaming:lanes_of": "offload.streaming:block_sequences",
    "evaluate.toyworld:Generate": "evaluate.subject:Generate",
    "evaluate.toyworld:MAX_CLIPS": "evaluate.subject:MAX_CLIPS",
    "evaluate.toyworld:MAX_SEED": "evaluate.subject:MAX_SEED",
    "evaluate.toyworld:check_benchmark": "evaluate.subject:check_benchmark",
    "generate.component_bytes:FLOAT32_COMPONENTS": "names:FLOAT32_NETWORKS",
    "generate.dims:FIXED_COMPONENTS": "names:ENCODERS",
    "generate.dims:SHIPPED_MODELS": "names:SHIPPED_MODELS",
    "generate.few_steps:FEW_STEPS_FILE": "names:FEW_STEPS_FILE",
    "generate.load:FLOAT32_NETWORKS": "names:FLOAT32_NETWORKS",
    "generate.load:load_scheduler": "pipeline.loading.model:load_scheduler",
    "generate.load:weights_hash": "weights.fingerprint:weights_hash",
    "generate.locate:DEFAULTS_FILE": "names:DEFAULTS_FILE",
    "generate.locate:has_packed_weights": "weights.locate:has_quantized_weights",
    "generate.many:numbered": "files.numbered:numbered",
    "generate.model_index:INDEX_FILE": "names:INDEX_FILE",
    "generate.model_index:NETWORKS": "names:NETWORKS",
    "generate.model_index:OPTIONAL_COMPONENTS": "names:OPTIONAL_COMPONENTS",
    "generate.model_index:PUBLISHED_COMPONENTS": "names:PUBLISHED_COMPONENTS",
    "generate.origin:describe": "generate.record:describe",
    "generate.placement:AUTOENCODERS": "names:AUTOENCODERS",
    "generate.placement:PlacedPipelineMixin": "pipeline.placed:PlacedPipelineMixin",
    "generate.placement:TOWERS": "names:COMPONENTS",
    "generate.processes:own_device": "device:own_device",
    "generate.quantization_report:PACKED_CLASSES": "weights.quantize.report:QUANTIZABLE_CLASSES",
    "generate.quantization_report:can_be_packed": "weights.quantize.report:can_be_quantized",
    "generate.request:MAX_STEPS": "checks:MAX_STEPS",
    "generate.request:NULL_IMAGES": "settings.sampling:NULL_IMAGES",
    "generate.request:SAMPLERS": "settings.sampling:SAMPLERS",
    "generate.request:SIGMA_LOOKUPS": "settings.sampling:SIGMA_LOOKUPS",
    "generate.request:SamplingSettings": "settings.sampling:SamplingSettings",
    "generate.request:check_cache": "checks:check_cache",
    "generate.request:check_choice": "checks:check_choice",
    "generate.request:check_scale": "checks:check_scale",
    "generate.request:check_shift": "checks:check_shift",
    "generate.request:check_steps": "checks:check_steps",
    "generate.request:check_tasks": "conditioning.spec:check_tasks",
    "generate.scope:SCOPE_FILE": "names:SCOPE_FILE",
    "generate.scope:warn_outside": "generate.request:warn_outside",
    "media.decode_audio:decode_sound": "media.decode_audio:decode_audio_span",
    "media.probe:probe_sound": "media.probe:probe_audio",
    "models.experts:Expert": "names:Expert",
    "models.lora:COMPONENTS": "names:COMPONENTS",
    "models.pack_stored:pack_stored": "weights.quantize.stored:quantize_stored",
    "models.packed_layout:PackedLayout": "weights.quantize.layout:QuantizedLayout",
    "models.packed_layout:REPORT_FILE": "names:QUANTIZATION_REPORT_FILE",
    "models.packed_layout:packed_bytes": "weights.quantize.layout:quantized_bytes",
    "models.packed_layout:packed_layout": "weights.quantize.layout:quantized_layout",
    "models.packing:PACKED_DTYPES": "weights.quantize.codes:CODE_DTYPES",
    "models.packing:is_packed": "weights.quantize.codes:is_quantized",
    "models.quantize:pack_layers": "weights.quantize.layers:install_quantized_layers",
    "models.quantize:packed_layers": "weights.quantize.layers:quantized_layers",
    "models.quantize:packed_method": "weights.quantize.layers:quantized_method",
    "models.quantize:packed_tensors": "weights.quantize.layers:quantized_tensors",
    "toyworld.detect_video:VideoReading": "toyworld.reading.observation:VideoReading",
    "toyworld.held_out:Combination": "toyworld.scenes.scene:Combination",
    "toyworld.measures:Observation": "toyworld.reading.observation:Observation",
    "toyworld.vocabulary:ALL_KINDS": "toyworld.scenes.registry:DEFAULT_KINDS",
    "toyworld.vocabulary:BASIC_KINDS": "toyworld.scenes.registry:BASIC_KINDS",
    "toyworld:ALL_KINDS": "toyworld.scenes.registry:DEFAULT_KINDS",
    "train.checkpoint:ALONE": "distributed.mesh:ALONE",
    "train.components:EXPERTS": "names:EXPERTS",
    "train.components:refuse_packed": "train.build.components:refuse_quantized",
    "train.config.joint:ALL_COMPONENTS": "names:COMPONENTS",
    "train.config.joint:Component": "names:Component",
    "train.config.joint:Expert": "names:Expert",
    "train.config.run:Compute": "device:Compute",
    "train.draws:Expert": "names:Expert",
    "train.gauge:GAUGE_SIGMA": "train.steps.dependence:DEPENDENCE_SIGMA",
    "train.placement:home_of": "train.build.placement:load_device",
    "train.stages.clip_pool:to_unit": "codecs.video:to_unit",
    "train.trainer:autocast": "device:autocast",
}
"""Names that went elsewhere than the rest of their module, or left one that stayed."""

_SHRUNK: Final = frozenset(row.partition(":")[0] for row in FORMER_NAMES) - set(FORMER_MODULES)
# The warning is shown for the code that imports; frames of the import system itself do not count.
_IMPORTER: Final = 3


class FormerPathFinder:
    """Finds modules under their former names, and in modules that stayed the names that left them."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return how to load a former path or a module that names have left; None for all others."""
        if not name.startswith("mova."):
            return None
        former = name.removeprefix("mova.")
        if former in FORMER_MODULES:
            is_package = any(other.startswith(f"{former}.") for other in FORMER_MODULES)
            return ModuleSpec(name, cast("Loader", _FormerModule(former)), is_package=is_package)
        if former in _SHRUNK:
            spec = PathFinder.find_spec(name, path, target)
            if spec is not None and spec.origin is not None and isinstance(spec.loader, SourceFileLoader):
                spec.loader = _ShrunkModule(name, spec.origin)
            return spec
        return None


class _FormerModule:
    """Makes a module without contents of its own, which hands out those of its successor."""

    def __init__(self, former: str) -> None:
        self.former = former

    def create_module(self, _spec: ModuleSpec) -> ModuleType | None:
        """Leave it to the import system to make the module."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Load the successor and say its name."""
        home = FORMER_MODULES[self.former]
        successor = import_module(f"mova.{home}")
        _warn(self.former, home)
        module.__doc__ = successor.__doc__
        vars(module).update(__getattr__=_lookup(module, self.former), __dir__=lambda: dir(successor))


class _ShrunkModule(SourceFileLoader):
    """Loads a module as always, and adds where the names went that it had."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code."""
        super().exec_module(module)
        vars(module).setdefault("__getattr__", _lookup(module, module.__name__.removeprefix("mova.")))


def _lookup(module: ModuleType, former: str) -> Callable[[str], object]:
    """Return what finds a name that a module does not hold itself."""

    def find(name: str) -> object:
        moved = FORMER_NAMES.get(f"{former}:{name}")
        if moved is not None:
            home, _, new_name = moved.partition(":")
            value = getattr(import_module(f"mova.{home}"), new_name)
            _warn(f"{former}.{name}", f"{home}.{new_name}")
        elif former in FORMER_MODULES and not name.startswith("__"):
            home = FORMER_MODULES[former]
            value = getattr(import_module(f"mova.{home}"), name, _lookup)
            if value is _lookup:
                text = f"module mova.{former} is now mova.{home}, which has no {name!r}; CHANGELOG.md says more"
                raise AttributeError(text)
        else:
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        # The next use finds it at once, without a second warning.
        setattr(module, name, value)
        return value

    return find


def _warn(former: str, now: str) -> None:
    text = f"mova.{former} is now mova.{now}; the former path goes with the next version"
    warnings.warn(text, DeprecationWarning, stacklevel=_IMPORTER)


def install() -> None:
    """Let the import system ask for former paths first; a second call changes nothing."""
    if FormerPathFinder not in sys.meta_path:
        sys.meta_path.insert(0, FormerPathFinder)
