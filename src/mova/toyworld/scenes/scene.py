"""What every scene of the toy world knows of itself: all that the rest of the world asks it for.

A new kind of scene is a file with a subclass of `Scene` and a line in `mova.toyworld.scenes.registry`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from mova.errors import ConfigError
from mova.toyworld.asked.said import Said
from mova.toyworld.draw import Viewport
from mova.toyworld.event import Event
from mova.toyworld.reading.background import Changing
from mova.toyworld.reading.detect_audio import HeardEvent
from mova.toyworld.reading.observation import Measures, Observation, VideoReading
from mova.toyworld.reading.track import DiscTrack

FloatArray = NDArray[np.float64]
Combination = tuple[str, ...]


@dataclass(frozen=True)
class Scene(ABC):
    """A planned clip, free of resolution and rates: lengths are in units of the frame size, times in seconds.

    Class attributes:
        kind: its name.
        in_default: whether it is drawn and measured where no kind is named; the shipped model knows these kinds.
        held_out: combinations that training can be kept from.
        held_out_guidance_scale: with which a model that never saw them draws them best, as measured; None is its own.
        changing: what of the frames is no background.
        first_frame_sets_landing: whether nothing but a first frame says where and when something lands.
        quiet_rise: spectral rise (flux) that true clips of the kind, also re-encoded ones, never pass away from onsets.
        words: words of free wordings, English and Chinese, that mean this kind, by how much they say.
        other_words: longer ones that contain some of those and mean something else.
        summary: the kind in a few words, for who asked for something else.
        paraphrases: wordings 1 and up of the whole caption, with the names of `facts` in braces; which of them are kept
            for measuring is said in `mova.toyworld.caption`.

    Attributes:
        seed: what the scene was drawn from; also chooses the caption's wording.
        background: a key of `BACKGROUND_RGB`.
    """

    kind: ClassVar[str]
    in_default: ClassVar[bool] = True
    held_out: ClassVar[frozenset[Combination]] = frozenset()
    held_out_guidance_scale: ClassVar[float | None] = None
    changing: ClassVar[Changing] = Changing()
    first_frame_sets_landing: ClassVar[bool] = False
    quiet_rise: ClassVar[float] = 0.04
    words: ClassVar[Mapping[str, int]] = {}
    other_words: ClassVar[tuple[str, ...]] = ()
    summary: ClassVar[str] = ""
    paraphrases: ClassVar[tuple[str, ...]] = ()

    seed: int
    background: str

    @classmethod
    @abstractmethod
    def sample(cls, seed: int, rng: np.random.Generator) -> Self:
        """Return a random scene without an event near the end of a clip of the reference length."""

    @classmethod
    def likeness(cls, said: Said) -> int:
        """Return how much a free wording speaks for this kind of scene; 0 for not at all."""
        return said.weigh(cls.words, cls.other_words)

    @classmethod
    def from_said(cls, said: Said, seed: int) -> Scene:
        """Return the scene that a free wording asks for; what it leaves open is drawn from the seed.

        Args:
            said: the wording, which is told what was changed and what its words were used for.
            seed: of the scene.
        """
        said.find(dict.fromkeys(cls.words, True), beside=cls.other_words)
        return cls.sample(seed, np.random.default_rng(seed))

    @abstractmethod
    def events(self, duration_s: float) -> tuple[Event, ...]:
        """Return what happens in the first `duration_s` seconds, in the order of time."""

    def sounds(self, duration_s: float) -> tuple[Event, ...]:
        """Return the sounds of the first `duration_s` seconds: one for each event, unless an event has several."""
        return self.events(duration_s)

    @abstractmethod
    def draw(self, viewport: Viewport, times_s: FloatArray) -> NDArray[np.uint8]:
        """Return the frames (F, H, W, 3) at `times_s` (F,)."""

    @abstractmethod
    def describe(self, video: int, audio: int, *, ranked: bool) -> tuple[str, str]:
        """Return the two halves of the caption: what is seen, and what is heard.

        Args:
            video, audio: 0, 1 or 2, the wording of each half.
            ranked: say the place of each thing in a row instead of only its neighbours.
        """

    def facts(self, *, ranked: bool) -> dict[str, str]:  # noqa: ARG002 (a scene without other wordings needs none)
        """Return what captions say of the scene, by the names that its wordings have for it.

        Args:
            ranked: as for `describe`.
        """
        return {}

    @abstractmethod
    def combinations(self) -> tuple[Combination, ...]:
        """Return what the scene combines, each in the form of those in `held_out`."""

    @classmethod
    def discs(cls, frames: NDArray[np.uint8]) -> tuple[DiscTrack, ...]:  # noqa: ARG003 (most scenes have none)
        """Follow the moving discs of frames (F, H, W, 3), which a first frame alone shows as well."""
        return ()

    @classmethod
    @abstractmethod
    def read(cls, frames: NDArray[np.uint8], frame_rate: float) -> VideoReading:
        """Return what is seen in any clip of this kind of scene, from its pixels alone.

        Args:
            frames: (F, H, W, 3) uint8.
            frame_rate: frames per second.
        """

    @classmethod
    @abstractmethod
    def hear(cls, waveform: NDArray[np.floating] | None, sample_rate: int) -> tuple[HeardEvent, ...]:
        """Return what is heard in any clip of this kind of scene, from its samples alone.

        Args:
            waveform: (channels, S) in [-1, 1]; None means silence.
            sample_rate: in Hz, 8000 or more.

        Raises:
            GeometryError: the sample rate is too low for the world's notes.
            NumericalError: a sample is not finite.
        """

    @abstractmethod
    def measure(self, found: Observation) -> Measures:
        """Return whether a clip shows and sounds what caption and first frame asked for."""

    def with_notes(self, notes: Mapping[str, str]) -> Scene:  # noqa: ARG002 (most scenes have no such notes)
        """Return the scene with the notes of other colours; see `mova.toyworld.pairing.with_notes`.

        Raises:
            ConfigError: its notes cannot be exchanged.
        """
        raise ConfigError(f"notes can be exchanged in scenes of the kind ball, got {self.kind}")

    def with_skins(self, left: str, right: str) -> Scene:  # noqa: ARG002 (most scenes have no face)
        """Return the scene with other skins of its faces, one face with the left one; itself where there is none."""
        return self

    def to_dict(self) -> dict[str, object]:
        """Return the scene as JSON values."""
        return {"kind": self.kind, **asdict(self)}
