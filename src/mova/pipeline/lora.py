"""LoRAs in a pipeline: loaded, scaled, switched and taken out again, in diffusers' words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from mova.errors import ConfigError
from mova.files.json_file import shorten
from mova.kernels.techniques import Technique, check_not_late
from mova.names import COMPONENTS, FEW_STEPS_FILE
from mova.settings.few_steps import DISTILLED, with_recommended
from mova.weights.components import key_shapes
from mova.weights.hub import Hub
from mova.weights.locate import ModelDefaults
from mova.weights.lora.adapters import Lora, fit_lora
from mova.weights.lora.file import make_lora, read_lora
from mova.weights.lora.hub import locate_lora
from mova.weights.lora.merge import MergedLoras
from mova.weights.quantize.layers import quantized_method


@dataclass(frozen=True, eq=False)
class _Adapter:
    lora: Lora
    scale: float
    active: bool = True


class LoraPipelineMixin:
    """What a pipeline can do with LoRAs. Its towers and bridge are named as in `COMPONENTS`.

    Adapters act through merged weights: a loaded one acts at once, sampling costs nothing more, and `save_pretrained`
    saves what acts. Memory: a copy of every adapted weight stays on the CPU, so that the base comes back bit for bit.

    Several adapters add up; so do those of DoRA, each by its difference to the base.

    Quantised weights have no room for changes: LoRAs are merged into them while they are loaded and quantised
    (`load_pipeline(..., loras=..., runtime=...)`), and every later change is refused (`ConfigError`).
    """

    _adapters: Mapping[str, _Adapter] | None = None
    _merged: MergedLoras | None = None
    _is_lora_on: bool = True
    defaults: ModelDefaults
    _lora_components: ClassVar[tuple[str, ...]] = COMPONENTS

    def load_lora_weights(
        self,
        pretrained_model_name_or_path_or_dict: str | Path | Lora | Mapping[str, torch.Tensor],
        adapter_name: str | None = None,
        *,
        weight_name: str | None = None,
        scale: float = 1.0,
        component: str | Sequence[str] | None = None,
        load_into_transformer_2: bool = False,
        subfolder: str | None = None,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
    ) -> str:
        """Load a LoRA and let it act besides those that do already.

        Args:
            pretrained_model_name_or_path_or_dict: a safetensors file of any style that `mova.weights.lora.file` reads,
                a folder with one (such as PEFT's), a hub id OWNER/NAME, its tensors by key, or what was read from one.
            adapter_name: to speak of it later; the file's name without its ending if not given.
            weight_name: which file of the folder or repository; None finds it by its usual name, or as the only one.
            scale: 1 is as trained, 0 is without effect, negative is the opposite.
            component: for a file whose keys name none: one of `COMPONENTS` or several; None finds the only fit.
            load_into_transformer_2: diffusers' word for component="video_dit_2", the expert for low noise.
            subfolder: of the folder or repository.
            revision, token, cache_dir, local_files_only: for a hub id, as in `huggingface_hub`.

        Returns:
            The adapter's name.

        Raises:
            CheckpointError: a damaged file, or keys, shapes or a base that do not fit; the model is as before then.
            ConfigError: a scale that is not finite, a name that is taken, an unknown component, quantised weights.
        """
        self._refuse_quantized()
        check_lora_scale(scale)
        given = pretrained_model_name_or_path_or_dict
        if isinstance(given, Lora):
            lora = given
        elif isinstance(given, Mapping):
            lora = make_lora(Path("lora"), given, {})
        else:
            hub = Hub(revision=revision, token=token, cache_dir=cache_dir, local_files_only=local_files_only)
            lora = read_lora(*locate_lora(given, weight_name, subfolder, hub))
        if load_into_transformer_2:
            if component is not None:
                raise ConfigError(
                    f"load_into_transformer_2 is component='video_dit_2', got component={component!r} too"
                )
            component = "video_dit_2"
        name = adapter_name or adapter_name_of(lora)
        held = self._held()
        if name in held:
            raise ConfigError(f"adapter_name must be new, {name!r} is loaded already; give another one")
        fitted = fit_lora(
            lora, {key: key_shapes(module) for key, module in self._modules_for_lora().items()}, component
        )
        self._act({**held, name: _Adapter(fitted, float(scale))})
        return name

    def set_adapters(
        self, adapter_names: str | Sequence[str], adapter_weights: float | Sequence[float | None] | None = None
    ) -> None:
        """Let exactly these adapters act.

        Args:
            adapter_names: loaded ones; the others rest.
            adapter_weights: one scale for all or one each; None keeps those that they have.

        Raises:
            ConfigError: an unknown name, another number of scales, a scale that is not finite.
        """
        names = [adapter_names] if isinstance(adapter_names, str) else list(adapter_names)
        held = self._known(names)
        given: list[float | None] = [None] * len(names)
        if isinstance(adapter_weights, Sequence):
            given = list(adapter_weights)
        elif adapter_weights is not None:
            given = [adapter_weights] * len(names)
        if len(given) != len(names):
            raise ConfigError(f"adapter_weights must hold {len(names)} scales, one per adapter, got {len(given)}")
        scales = [held[name].scale if scale is None else scale for name, scale in zip(names, given, strict=True)]
        for scale in scales:
            check_lora_scale(scale)
        resting = {name: replace(entry, active=False) for name, entry in held.items()}
        acting = {name: _Adapter(held[name].lora, scale) for name, scale in zip(names, map(float, scales), strict=True)}
        self._act({**resting, **acting})

    def get_active_adapters(self) -> dict[str, float]:
        """Return the adapters that act and their scales, in the order of loading; none while LoRAs are disabled."""
        return {name: entry.scale for name, entry in self._held().items() if entry.active and self._is_lora_on}

    def get_list_adapters(self) -> dict[str, list[str]]:
        """Return the loaded adapters by the component that they are for."""
        found: dict[str, list[str]] = {}
        for name, entry in self._held().items():
            for component in entry.lora.components:
                found.setdefault(component, []).append(name)
        return found

    def disable_lora(self) -> None:
        """Take all adapters out of the weights until `enable_lora`; which of them act is remembered."""
        self._act(self._held(), is_on=False)

    def enable_lora(self) -> None:
        """Let those adapters act again that did before `disable_lora`."""
        self._act(self._held())

    def delete_adapters(self, adapter_names: str | Sequence[str]) -> None:
        """Take adapters out and forget them.

        Raises:
            ConfigError: an unknown name.
        """
        names = [adapter_names] if isinstance(adapter_names, str) else list(adapter_names)
        self._act({name: entry for name, entry in self._known(names).items() if name not in names})

    def unfuse_lora(self) -> None:
        """Take all adapters out of the weights, which are those of the base again, bit for bit; they stay loaded."""
        self._act({name: replace(entry, active=False) for name, entry in self._held().items()})

    def fuse_lora(self, adapter_names: Sequence[str] | None = None, lora_scale: float = 1.0) -> None:
        """Merge loaded adapters into the weights, after `unfuse_lora` or with another common factor.

        Args:
            adapter_names: those that are to act; all if not given.
            lora_scale: factor of all their scales, for this merge; the scales themselves stay.

        Raises:
            ConfigError: an unknown name or a factor that is not finite.
        """
        check_lora_scale(lora_scale)
        names = list(self._held()) if adapter_names is None else list(adapter_names)
        held = self._known(names)
        self._act({name: replace(entry, active=name in names) for name, entry in held.items()}, lora_scale)

    def unload_lora_weights(self) -> None:
        """Take all adapters out and forget them: the base, bit for bit."""
        self._act({})

    def note_merged_loras(self, loras: Sequence[tuple[Lora, float]]) -> None:
        """Remember LoRAs that are in the weights already, so that `get_active_adapters` names them.

        Args:
            loras: fitted to the components, with scales, in the order of merging.
        """
        held: dict[str, _Adapter] = {}
        for number, (lora, scale) in enumerate(loras, 1):
            name = adapter_name_of(lora)
            # Two files in two folders may have one name.
            held[f"lora_{number}" if name in held else name] = _Adapter(lora, scale)
        self._adapters = held

    def _refuse_quantized(self) -> None:
        methods = {quantized_method(module) for module in self._modules_for_lora().values()} - {None}
        if methods:
            check_not_late(Technique.LORA, {Technique.QUANTISED: ", ".join(sorted(map(str, methods)))})

    def _defaults_at(self, speed: str) -> ModelDefaults:
        """Return what is recommended by a speed preset: by "distilled" by the adapter that was made for few steps.

        Raises:
            ConfigError: no such adapter acts, or several do.
        """
        if speed != DISTILLED:
            return self.defaults
        held, active = self._held(), self.get_active_adapters()
        acting = {name: held[name].lora for name in active if held[name].lora.recommended}
        if len(acting) != 1:
            raise ConfigError(
                f"speed {DISTILLED} needs one acting LoRA that says which steps it is for, got "
                f"{', '.join(acting) or 'none'}; load_lora_weights the {FEW_STEPS_FILE} of the model, if it has one"
            )
        ((name, lora),) = acting.items()
        return with_recommended(self.defaults, lora.recommended, name)

    def _held(self) -> Mapping[str, _Adapter]:
        return self._adapters or {}

    def _known(self, names: Sequence[str]) -> Mapping[str, _Adapter]:
        held = self._held()
        unknown = [name for name in names if name not in held]
        if unknown:
            raise ConfigError(f"adapter must be one of {', '.join(held) or 'none'}; got {', '.join(unknown)}")
        return held

    def _modules_for_lora(self) -> dict[str, nn.Module]:
        modules: dict[str, Any] = {name: getattr(self, name) for name in self._lora_components}
        return {name: module for name, module in modules.items() if module is not None}

    def _act(self, adapters: Mapping[str, _Adapter], factor: float = 1.0, *, is_on: bool = True) -> None:
        if adapters or self._held():
            self._refuse_quantized()
        if self._merged is None:
            self._merged = MergedLoras(self._modules_for_lora())
        changed = self._merged.num_changed
        acting = [entry for entry in adapters.values() if entry.active] if is_on else []
        try:
            self._merged.apply([(entry.lora, entry.scale * factor) for entry in acting])
        except BaseException:
            if self._merged.num_changed != changed:
                # Broken off in the middle, the merge left the base: what is said to act must be true.
                self._adapters = {name: replace(entry, active=False) for name, entry in self._held().items()}
            raise
        self._adapters, self._is_lora_on = dict(adapters), is_on


def adapter_name_of(lora: Lora) -> str:
    """Return what an adapter is called if no name is given: its file without the ending, or its folder."""
    return lora.name.removesuffix(".safetensors")


def check_lora_scale(scale: float) -> None:
    """Refuse a scale that is not a finite number."""
    # Also the numbers of NumPy and torch are of this kind.
    if isinstance(scale, bool) or not isinstance(scale, Real) or not math.isfinite(scale):
        raise ConfigError(f"scale of a LoRA must be a finite number, got {shorten(scale)}; nearest is 1.0")
