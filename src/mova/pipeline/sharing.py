"""What pipelines made of the same components have in common: whose turn it is, adapters, placement, recommendations.

`MovaPipeline(**pipe.components)` and `from_pipe` give two pipelines with one set of weights. Whatever is a property of
the weights and not of a pipeline (LoRAs that are merged into them, where they rest, which thread computes with them) is
kept once for both, on the video tower, without which there is no pipeline.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Self, TypeVar

from torch import nn

from mova.errors import ConfigError
from mova.kernels.cpu_linear import restore_onednn_linears
from mova.names import COMPONENTS
from mova.weights.locate import ModelDefaults

if TYPE_CHECKING:
    from mova.distributed.mesh import Parallel
    from mova.offload.placement import Placement

_T = TypeVar("_T")


class Turns:
    """Lets one thread at a time compute with a set of weights, or change them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner: int | None = None
        self._is_call = False

    @contextmanager
    def call(self) -> Iterator[None]:
        """Wait for the weights, and have them for a call of the pipeline.

        Raises:
            ConfigError: this thread has them already: the call comes from its own callback.
        """
        if self._owner == threading.get_ident():
            raise ConfigError("a pipeline cannot be called from its own callback; call it again when it has returned")
        with self._held(is_call=True):
            yield

    @contextmanager
    def change(self, what: str) -> Iterator[None]:
        """Wait for the weights, and have them for a change; changes may contain others.

        Args:
            what: is changed, for the error.

        Raises:
            ConfigError: this thread is in a call of the pipeline.
        """
        if self._owner == threading.get_ident():
            if self._is_call:
                raise ConfigError(f"{what} cannot be changed from a callback; change it between calls of the pipeline")
            yield
            return
        with self._held(is_call=False):
            yield

    @contextmanager
    def _held(self, *, is_call: bool) -> Iterator[None]:
        with self._lock:
            self._owner, self._is_call = threading.get_ident(), is_call
            try:
                yield
            finally:
                self._owner = None


@dataclass(eq=False)
class WeightState:
    """What belongs to a set of weights.

    Attributes:
        turns: who computes with them.
        values: attributes that pipelines share, by name.
        towers: the towers and the bridge, by identity, that `values` are about.
        recommended: what a pipeline passes on to the next one made of its components, by attribute.
    """

    turns: Turns = field(default_factory=Turns)
    values: dict[str, Any] = field(default_factory=dict)
    towers: tuple[int, ...] = ()
    recommended: dict[str, Any] = field(default_factory=dict)

    def __deepcopy__(self, _: object) -> WeightState:
        """Return a fresh one: the copy of a tower belongs to no pipeline yet."""
        return WeightState()

    def __reduce__(self) -> tuple[type[WeightState], tuple[()]]:
        """Leave everything out of a file of pickle; a pipeline stores what can be copied itself."""
        return WeightState, ()


_STATE: Final = "_mova_state"


class Shared(Generic[_T]):
    """An attribute of a pipeline that all pipelines with the same weights have in common."""

    def __init__(self, default: _T) -> None:
        self._default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, pipeline: Any, owner: type | None = None) -> _T:
        if pipeline is None or "_state" not in vars(pipeline):
            return self._default
        value: _T = pipeline._state.values.get(self._name, self._default)
        return value

    def __set__(self, pipeline: Any, value: _T) -> None:
        pipeline._state.values[self._name] = value


class SharingMixin:
    """What a pipeline takes over from another one, and passes on: to a new pipeline, a copy, a file of pickle."""

    defaults: ModelDefaults = ModelDefaults()
    few_steps_file: Path | None = None
    folder: Path | None = None
    boundary_ratio: float
    placement: Placement | None
    _state: WeightState
    _passed_on: ClassVar[tuple[str, ...]] = ("defaults", "few_steps_file", "folder", "boundary_ratio")
    # Of what pipelines share these can be copied; a placement and other processes cannot.
    _copied: ClassVar[tuple[str, ...]] = ("_adapters", "_merged", "_is_lora_on")

    if TYPE_CHECKING:

        @property
        def parallel(self) -> Parallel: ...

    def share_state(self, video_dit: nn.Module) -> None:
        """Join the pipelines that were made with a video tower before, and take what they recommend.

        Raises:
            ConfigError: other towers or another bridge beside it, while adapters act or weights are offloaded.
        """
        towers = tuple(id(getattr(self, name)) for name in COMPONENTS)
        state: WeightState | None = vars(video_dit).get(_STATE)
        if state is None or not state.towers:
            state = vars(video_dit)[_STATE] = WeightState(towers=towers)
        elif state.towers != towers:
            if state.values.get("placement") or state.values.get("_adapters"):
                raise ConfigError(
                    "towers and bridge of a pipeline with LoRAs or with offloaded weights stay together, got "
                    "others; call unload_lora_weights() or load the model with memory='resident' first"
                )
            # One lock still: the video tower is the same.
            state = WeightState(state.turns, towers=towers, recommended=state.recommended)
        self._state = state
        for name, value in state.recommended.items():
            setattr(self, name, value)

    def recommend(self, defaults: ModelDefaults) -> None:
        """Take what is recommended for this model: sizes, steps and scales of calls that say nothing else."""
        self.defaults = defaults

    @property
    def components(self) -> dict[str, object]:
        """Components by name, for another pipeline: `MovaPipeline(**pipe.components)` recommends what this one does."""
        self._state.recommended = {name: getattr(self, name) for name in self._passed_on}
        found: dict[str, Any] = super().components  # type: ignore[misc]
        return found

    @classmethod
    def from_pipe(cls, pipeline: object, **changes: object) -> Self:
        """Return another pipeline of the same components, with what it recommends and its LoRAs.

        Args:
            pipeline: a pipeline of this package.
            changes: components that take the place of others; `dtype` or `torch_dtype` casts the weights of both
                pipelines, which are the same (None, the default, leaves them as they are).

        Raises:
            ConfigError: a pipeline of another kind, or a keyword that is none of these.
        """
        if not isinstance(pipeline, SharingMixin):
            raise ConfigError(f"from_pipe takes a pipeline of this package, got {type(pipeline).__name__}")
        dtype = changes.pop("dtype", None) or changes.pop("torch_dtype", None)
        changes.pop("torch_dtype", None)
        components = pipeline.components
        unknown = sorted(set(changes) - set(components))
        if unknown:
            raise ConfigError(f"from_pipe takes {', '.join(components)} and dtype; got {', '.join(unknown)}")
        made: Any = cls(**(components | changes))
        made.set_progress_bar_config(**getattr(pipeline, "_progress_bar_config", {}))
        return made if dtype is None else made.to(dtype)  # type: ignore[no-any-return]

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made from.

        Raises:
            ConfigError: weights that are offloaded, or sharded over processes.
        """
        if self.placement is not None or self.parallel.world_size > 1:
            where = (
                "spread over processes" if self.placement is None else f"placed as {self.placement.plan.placement!r}"
            )
            raise ConfigError(
                "a pipeline can be copied or pickled where all of its weights are on one device, got one whose weights "
                f"are {where}; load the model again, or with runtime=Runtime('resident')"
            )
        own = {name: value for name, value in vars(self).items() if name != "_state"}
        return own | {
            "_values": {name: self._state.values[name] for name in self._copied if name in self._state.values}
        }

    def __setstate__(self, stored: Mapping[str, Any]) -> None:
        """Become a copy, with a state of its own."""
        own = dict(stored)
        values = own.pop("_values")
        vars(self).update(own)
        restore_onednn_linears(part for part in own.values() if isinstance(part, nn.Module))
        towers = tuple(id(own[name]) for name in COMPONENTS)
        self._state = vars(own["video_dit"])[_STATE] = WeightState(values=values, towers=towers)
