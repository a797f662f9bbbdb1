"""A pipeline from its files and to them, in the words of diffusers."""

from __future__ import annotations

import difflib
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import torch

from mova.device import choose_device
from mova.errors import ConfigError
from mova.files.json_file import shorten
from mova.names import COMPONENTS, PUBLISHED_COMPONENTS
from mova.pipeline.loading.model import LoadedModel, read_model
from mova.pipeline.lora import adapter_name_of
from mova.pipeline.moving import DTYPES, check_dtype
from mova.pipeline.runtime import Runtime
from mova.weights.files import has_variant, read_headers, use_variant
from mova.weights.hub import Hub
from mova.weights.locate import ModelDefaults, find_model

if TYPE_CHECKING:
    from mova.offload.placement import Placement
    from mova.pipeline.pipeline import MovaPipeline

_DTYPE_NAMES: Final = {str(dtype).removeprefix("torch."): dtype for dtype in DTYPES}
_STORED_NAMES: Final = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
_HUB_WORDS: Final = ("revision", "token", "cache_dir", "local_files_only", "force_download")
_OWN_WORDS: Final = ("dtype", "torch_dtype", "device", "device_map", "loras", "runtime", "variant", *_HUB_WORDS)
# Of their classes a pipeline's config names the library only.
_LIBRARIES: Final = ("diffusers", "transformers")
# Words of diffusers that ask for what is done anyway.
_SETTLED: Final[Mapping[str, tuple[object, ...]]] = {
    "use_safetensors": (True, None),
    "low_cpu_mem_usage": (True, None),
    "trust_remote_code": (False, None),
    "safety_checker": (None,),
}
_SETTLED_IN_SAVING: Final[Mapping[str, tuple[object, ...]]] = {
    "safe_serialization": (True, None),
    "push_to_hub": (False, None),
    "variant": (None,),
}


class StoredMixin:
    """How a pipeline is loaded and saved."""

    defaults: ModelDefaults
    folder: Path | None
    few_steps_file: Path | None
    placement: Placement | None

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        dtype: torch.dtype | str | None = None,
        torch_dtype: torch.dtype | str | None = None,
        device: torch.device | str | int | None = None,
        device_map: str | int | torch.device | Mapping[str, Any] | None = None,
        loras: Sequence[tuple[str | Path, float]] = (),
        runtime: Runtime | None = None,
        variant: str | None = None,
        **others: object,
    ) -> MovaPipeline:
        """Load a shipped model by name, a directory in the published layout, or a hub id.

        Args:
            pretrained_model_name_or_path: the model.
            dtype, torch_dtype: of towers, bridge and text encoder; "auto" is that of the stored video tower. None is
                float32 on a CPU and bfloat16 elsewhere.
            device: that computes; None is the first GPU or else the CPU, as for the command.
            device_map: the same in diffusers' words; "auto" and "balanced" let memory decide about offload.
            loras: files and their scales.
            runtime: memory, quantisation and kernels.
            variant: of the weight files, such as "fp16", where a component has it.
            others: `revision`, `token`, `cache_dir`, `local_files_only` and `force_download` for a model of the hub,
                and components by name that take the place of the model's own.

        Raises:
            ConfigError: a keyword that is none of these, with the nearest one, or a value that cannot be used.
            CheckpointError: there is no such model, or it cannot be loaded.
        """
        if not isinstance(pretrained_model_name_or_path, str | Path):
            raise ConfigError(f"the model is given by name or path, got {shorten(pretrained_model_name_or_path)}")
        hub, given = _sort_words(others)
        if dtype is not None and torch_dtype is not None and dtype != torch_dtype:
            raise ConfigError(f"dtype and torch_dtype are one word, got {dtype} and {torch_dtype}; give one of them")
        if device is not None and device_map is not None:
            raise ConfigError(f"device and device_map are both given ({device}, {device_map}); give one of them")
        if isinstance(device_map, Mapping) and set(device_map) == {""}:
            # How accelerate says that everything is to be on one device.
            device_map = device_map[""]
        if isinstance(device_map, int) and not isinstance(device_map, bool):
            device_map = f"cuda:{device_map}"
        if device_map is not None and not isinstance(device_map, str | torch.device):
            raise ConfigError(f"device_map must be one device, 'auto' or 'balanced', got {shorten(device_map)}")
        target = choose_device(None if device_map == "balanced" else device if device_map is None else device_map)
        folder = find_model(pretrained_model_name_or_path, hub)
        if variant is not None:
            _check_variant(folder, variant)
        with use_variant(variant):
            loaded = read_model(
                pretrained_model_name_or_path if hub == Hub() else folder,
                dtype=_dtype_of(torch_dtype if dtype is None else dtype, folder),
                device=target,
                loras=loras,
                runtime=runtime,
                given=given,
            )
        return cls.from_loaded(loaded)

    @classmethod
    def from_loaded(cls, loaded: LoadedModel) -> MovaPipeline:
        """Make a pipeline of what `read_model` gave: with its recommendations, placement, LoRAs and processes."""
        pipeline: MovaPipeline = cast("type[MovaPipeline]", cls)(**loaded.parts)
        pipeline._take(loaded)
        if loaded.merged_loras:
            pipeline.note_merged_loras(loaded.merged_loras)
        components: dict[str, Any] = {name: getattr(pipeline, name) for name in COMPONENTS}
        present = {name: component for name, component in components.items() if component is not None}
        # The rows of sharded weights have their LoRAs already.
        experts = None if loaded.shards is None else loaded.shards.fill(present)
        for number, (lora, scale) in enumerate(loaded.loras if loaded.shards is None else (), 1):
            # Two files in two folders may have one name.
            taken = adapter_name_of(lora) in pipeline.get_active_adapters()
            pipeline.load_lora_weights(lora, scale=scale, adapter_name=f"lora_{number}" if taken else None)
        if loaded.parallel is not None:
            pipeline.spread_over(loaded.parallel, experts)
        return pipeline

    if TYPE_CHECKING:

        def register_to_config(self, **values: object) -> None: ...

    def register_modules(self, **modules: object) -> None:
        """Take components, and note the class of each for `model_index.json`, as diffusers does.

        diffusers imports torch's compiler to ask whether a component is compiled. Where it is not imported, none is.
        """
        if "torch._dynamo" in sys.modules:
            super().register_modules(**modules)  # type: ignore[misc]
            return
        for name, module in modules.items():
            entry: tuple[str | None, str | None] = (None, None)
            if module is not None:
                path = type(module).__module__
                library = path.partition(".")[0]
                entry = (library if library in _LIBRARIES else path, type(module).__name__)
            self.register_to_config(**{name: entry})
            setattr(self, name, module)

    def _take(self, loaded: LoadedModel) -> None:
        """Keep what a model brings along besides its components."""
        self.folder, self.few_steps_file = loaded.folder, loaded.few_steps_file
        if loaded.defaults is not None:
            self.defaults = loaded.defaults
        if loaded.placement is not None:
            self.placement = loaded.placement

    def has_recommending_adapter(self) -> bool:
        """Say whether an adapter acts that was made for settings of its own, such as one for few steps."""
        pipeline: Any = self
        acting = pipeline.get_active_adapters()
        return any(entry.lora.recommended for name, entry in (pipeline._adapters or {}).items() if name in acting)

    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        dtype: torch.dtype | None = None,
        torch_dtype: torch.dtype | None = None,
        max_shard_size: int | str = "10GB",
        **words: object,
    ) -> None:
        """Write the published layout with the official class names; see `mova.pipeline.loading.save`.

        Raises:
            ConfigError: a size or dtype that is none, or a word of diffusers that would have no effect.
        """
        from mova.pipeline.loading.save import save_pipeline

        for name, value in words.items():
            if name not in _SETTLED_IN_SAVING:
                known = ("dtype", "torch_dtype", "max_shard_size", *_SETTLED_IN_SAVING)
                raise _unknown_word("save_pretrained", name, known)
            _check_settled(name, value, _SETTLED_IN_SAVING)

        pipeline: Any = self
        wanted = torch_dtype if dtype is None else dtype
        save_pipeline(
            pipeline,
            Path(save_directory),
            dtype=None if wanted is None else check_dtype(wanted),
            max_shard_size=max_shard_size,
        )


def _sort_words(words: Mapping[str, Any]) -> tuple[Hub, dict[str, Any]]:
    """Return what is for the hub and which components are given; refuse everything else by name."""
    given: dict[str, Any] = {}
    for name, value in words.items():
        if name in _HUB_WORDS:
            continue
        if name in _SETTLED:
            _check_settled(name, value, _SETTLED)
        elif name in PUBLISHED_COMPONENTS:
            if value is None and name != "video_dit_2":
                raise ConfigError(f"{name} cannot be left out, got None")
            given[name] = value
        else:
            known = (*_OWN_WORDS, *PUBLISHED_COMPONENTS)
            raise _unknown_word("from_pretrained", name, known)
    return Hub(**{name: words[name] for name in _HUB_WORDS if name in words}), given


def _check_settled(name: str, value: object, settled: Mapping[str, tuple[object, ...]]) -> None:
    if value not in settled[name]:
        raise ConfigError(f"{name} must be {settled[name][0]} here, got {shorten(value)}")


def _unknown_word(function: str, name: str, known: Sequence[str]) -> ConfigError:
    """Say what a function takes, and the word that was meant where one is like it."""
    close = difflib.get_close_matches(name, known, n=1)
    nearest = f"; nearest is {close[0]}" if close else ""
    return ConfigError(f"{function} takes {', '.join(known)}; got {shorten(name)}{nearest}")


def _dtype_of(wanted: torch.dtype | str | None, folder: Path) -> torch.dtype | None:
    if wanted is None:
        return None
    if wanted == "auto":
        # What most weights have: some small ones stay in float32 whatever the others are.
        weights: Counter[str] = Counter()
        for tensor in read_headers(folder / "video_dit").values():
            if tensor.dtype in _STORED_NAMES:
                weights[tensor.dtype] += tensor.num_elements
        return _STORED_NAMES[weights.most_common(1)[0][0]] if weights else None
    if isinstance(wanted, str):
        if wanted.removeprefix("torch.") not in _DTYPE_NAMES:
            raise ConfigError(f"dtype must be auto or one of {', '.join(_DTYPE_NAMES)}, got {shorten(wanted)}")
        return _DTYPE_NAMES[wanted.removeprefix("torch.")]
    return check_dtype(wanted)


def _check_variant(folder: Path, variant: str) -> None:
    with use_variant(variant):
        if not any(has_variant(folder / name, variant) for name in PUBLISHED_COMPONENTS):
            raise ConfigError(
                f"variant must be one that the model has, got {variant!r} and no *.{variant}.safetensors in {folder}; "
                "leave it out for the plain files"
            )
