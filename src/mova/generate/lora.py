"""LoRAs in a pipeline: loaded, scaled, switched and taken out again, in diffusers' words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from mova.errors import ConfigError
from mova.generate.few_steps import DISTILLED, FEW_STEPS_FILE, with_recommended
from mova.generate.locate import ModelDefaults
from mova.models.convert import key_shapes
from mova.models.lora import COMPONENTS, Lora, fit_lora
from mova.models.lora_file import read_lora
from mova.models.lora_merge import MergedLoras
from mova.models.quantize import packed_method


@dataclass(frozen=True, eq=False)
class _Adapter:
    lora: Lora
    scale: float
    active: bool = True


class LoraPipelineMixin:
    """What a pipeline can do with LoRAs. Its towers and bridge are named as in `COMPONENTS`.

    Adapters act through merged weights: a loaded one acts at once, sampling costs nothing more, and `save_pretrained`
    saves what acts. Memory: a copy of every adapted weight stays on the CPU, so that the base comes back bit for bit.

    Packed weights have no room for changes: LoRAs are merged into them while they are loaded and packed
    (`load_pipeline(..., loras=..., runtime=...)`), and every later change is refused (`ConfigError`).
    """

    _adapters: Mapping[str, _Adapter] | None = None
    _merged: MergedLoras | None = None
    defaults: ModelDefaults
    _lora_components: ClassVar[tuple[str, ...]] = COMPONENTS

    def load_lora_weights(
        self,
        path: str | Path | Lora,
        *,
        adapter_name: str | None = None,
        scale: float = 1.0,
        component: str | Sequence[str] | None = None,
    ) -> str:
        """Load a LoRA and let it act besides those that do already.

        Args:
            path: a safetensors file of any style that `mova.models.lora_file` reads, or what was read from one.
            adapter_name: to speak of it later; the file's name without its ending if not given.
            scale: 1 is as trained, 0 is without effect, negative is the opposite.
            component: for a file whose keys name none: one of `COMPONENTS` or several; None finds the only fit.

        Returns:
            The adapter's name.

        Raises:
            CheckpointError: a damaged file, or keys, shapes or a base that do not fit; the model is as before then.
            ConfigError: a scale that is not finite, a name that is taken, an unknown component, packed weights.
        """
        self._refuse_packed()
        lora = path if isinstance(path, Lora) else read_lora(path)
        name = adapter_name or Path(lora.name).stem
        held = self._held()
        if name in held:
            raise ConfigError(f"adapter_name must be new, {name!r} is loaded already; give another one")
        check_lora_scale(scale)
        fitted = fit_lora(
            lora, {key: key_shapes(module) for key, module in self._modules_for_lora().items()}, component
        )
        self._act({**held, name: _Adapter(fitted, scale)})
        return name

    def set_adapters(
        self, adapter_names: str | Sequence[str], adapter_weights: float | Sequence[float] | None = None
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
        if adapter_weights is None:
            scales = [held[name].scale for name in names]
        elif isinstance(adapter_weights, Sequence):
            scales = list(adapter_weights)
        else:
            scales = [adapter_weights] * len(names)
        if len(scales) != len(names):
            raise ConfigError(f"adapter_weights must hold {len(names)} scales, one per adapter, got {len(scales)}")
        for scale in scales:
            check_lora_scale(scale)
        resting = {name: replace(entry, active=False) for name, entry in held.items()}
        acting = {name: _Adapter(held[name].lora, scale) for name, scale in zip(names, scales, strict=True)}
        self._act({**resting, **acting})

    def get_active_adapters(self) -> dict[str, float]:
        """Return the adapters that act and their scales, in the order of loading."""
        return {name: entry.scale for name, entry in self._held().items() if entry.active}

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
            name = Path(lora.name).stem
            # Two files in two folders may have one name.
            held[f"lora_{number}" if name in held else name] = _Adapter(lora, scale)
        self._adapters = held

    def _refuse_packed(self) -> None:
        methods = {packed_method(module) for module in self._modules_for_lora().values()} - {None}
        if methods:
            found = ", ".join(sorted(map(str, methods)))
            raise ConfigError(
                f"LoRAs are merged before weights are packed, got a pipeline with weights in {found}; load it again "
                "with the LoRAs that it is to have (loras=..., or --lora)"
            )

    def _defaults_at(self, speed: str) -> ModelDefaults:
        """Return what is recommended on a rung: on "distilled" by the adapter that was made for few steps.

        Raises:
            ConfigError: no such adapter acts, or several do.
        """
        if speed != DISTILLED:
            return self.defaults
        acting = {name: entry.lora for name, entry in self._held().items() if entry.active and entry.lora.recommended}
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

    def _act(self, adapters: Mapping[str, _Adapter], factor: float = 1.0) -> None:
        if adapters or self._held():
            self._refuse_packed()
        if self._merged is None:
            self._merged = MergedLoras(self._modules_for_lora())
        changed = self._merged.num_changed
        try:
            self._merged.apply([(entry.lora, entry.scale * factor) for entry in adapters.values() if entry.active])
        except BaseException:
            if self._merged.num_changed != changed:
                # Broken off in the middle, the merge left the base: what is said to act must be true.
                self._adapters = {name: replace(entry, active=False) for name, entry in self._held().items()}
            raise
        self._adapters = dict(adapters)


def check_lora_scale(scale: float) -> None:
    """Refuse a scale that is not a finite number."""
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not math.isfinite(scale):
        raise ConfigError(f"scale of a LoRA must be a finite number, got {scale!r}; nearest is 1.0")
