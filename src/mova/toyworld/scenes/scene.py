"""What every scene of the toy world has: a plan that is known before anything is drawn, and its JSON form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mova.errors import ConfigError
from mova.toyworld.draw import Viewport
from mova.toyworld.event import Event

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Scene(ABC):
    """A planned clip, free of resolution and rates: lengths are in units of the frame size, times in seconds.

    Attributes:
        seed: what the scene was drawn from; also chooses the caption's wording.
        background: a key of `BACKGROUND_RGB`.
    """

    kind: ClassVar[str]

    seed: int
    background: str

    @abstractmethod
    def events(self, duration_s: float) -> tuple[Event, ...]:
        """Return what happens in the first `duration_s` seconds, in the order of time."""

    @abstractmethod
    def draw(self, viewport: Viewport, times_s: FloatArray) -> NDArray[np.uint8]:
        """Return the frames (F, H, W, 3) at `times_s` (F,)."""

    def to_dict(self) -> dict[str, Any]:
        """Return the scene as JSON values; `from_dict` is the way back."""
        return {"kind": self.kind, **asdict(self)}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Scene:
        """Return the scene that `to_dict` described.

        Raises:
            ConfigError: the kind is unknown or a field is missing or unknown.
        """
        kinds: dict[Any, Callable[..., Scene]] = {scene_type.kind: scene_type for scene_type in Scene.__subclasses__()}
        fields = dict(values)
        kind = fields.pop("kind", None)
        if kind not in kinds:
            raise ConfigError(f"kind of scene must be one of {', '.join(sorted(kinds))}, got {kind!r}")
        try:
            return kinds[kind](**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})
        except TypeError as error:
            raise ConfigError(f"not the fields of a {kind} scene: {error}") from error
