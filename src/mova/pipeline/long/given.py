"""What a long clip is made from, and what it is made of: pieces, and what is said of each window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from mova.conditioning.windows import Window, WindowMethod, WindowPlan
from mova.errors import ConfigError
from mova.geometry import ClipGeometry, num_samples
from mova.pipeline.inputs.media import GivenMedia
from mova.pipeline.long.prompts import PromptTrack
from mova.settings.seeds import derived_seed

if TYPE_CHECKING:
    import numpy as np

    from mova.pipeline.loop.control import Control


MOST_RECORDED: Final = 4
"""Attempts of a window that its record names."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LongInputs:
    """What is asked of a long clip besides its settings.

    Attributes:
        prompts: along the clip.
        negative_prompt: of every window; None is the model's.
        image: first frame, as the pipeline takes it.
        known_frames: (O, H, W, 3) uint8, the end of a clip that is gone on from: the first frames of this one.
        known_audio: (1, S) float32 at the model's rate, known from the beginning on: of that clip, or own audio, or
            both one behind the other. It is kept to the sample, but for the last 40 ms before the made audio.
        before: frames that stand before these windows in the file; times of prompts are of the file.
        seed, index: of the noise of the first window, as of a call; those of later windows follow from the seed.
        method: "continue" or "joint".
        retries: how often a window that is flat, frozen or not finite is made again with another seed; 0 takes every
            window as it is, but for numbers that are not finite.
        told: what of the frames that a window takes over its condition names, beside the latents that are held:
            "first", the published case, on which any weights were trained, or "all", for weights that were trained on
            beginnings of clips. With others "all" lets colours drift from window to window.
        control: watches the steps and stops the run; states are kept by the store.
    """

    prompts: PromptTrack
    negative_prompt: str | None = None
    image: Any = None
    known_frames: np.ndarray | None = None
    known_audio: np.ndarray | None = None
    before: int = 0
    seed: int = 0
    index: int = 0
    method: WindowMethod = "continue"
    retries: int = 2
    told: Literal["first", "all"] = "first"
    control: Control | None = None

    def __post_init__(self) -> None:
        if self.method == "joint" and (self.known_frames is not None or self.known_audio is not None):
            raise ConfigError(
                "windows that are made jointly begin with nothing but an image, got a clip or audio to go on from; "
                "nearest is windows=continue"
            )
        if self.known_frames is not None and self.image is not None:
            raise ConfigError("a clip that is gone on from holds the first frames; leave out the image")

    def offset_s(self, clip: ClipGeometry) -> float:
        """Return where the windows begin in the file, in seconds."""
        return self.before / clip.frame_rate

    def samples_until(self, clip: ClipGeometry, num_frames: int) -> int:
        """Return how many samples so many frames of these windows last, in a file that has others before them."""
        rate, sample_rate = clip.frame_rate, clip.codec.sample_rate
        return num_samples(self.before + num_frames, rate, sample_rate) - num_samples(self.before, rate, sample_rate)

    def report(
        self, plan: WindowPlan, window: Window, prompt: str, seed: int, attempts: tuple[WindowAttempt, ...]
    ) -> WindowReport:
        """Return what is said of a window, with its times in the file."""
        offset = self.offset_s(plan.clip)
        begin, end = offset + plan.begin_s(window), offset + plan.end_s(window)
        return WindowReport(window.index, begin, end, prompt, seed, attempts)

    @property
    def media(self) -> GivenMedia:
        """Of the first window."""
        return GivenMedia(image=self.image)


@dataclass(frozen=True)
class WindowAttempt:
    """A seed that did not lead to a window.

    Attributes:
        seed: that was tried.
        found: "flat", "frozen" or "not finite".
        words: the same, with what was measured.
    """

    seed: int
    found: str
    words: str


@dataclass(frozen=True)
class WindowReport:
    """How a window was made.

    Attributes:
        index: of the window.
        begin_s, end_s: of what it made, in seconds of the file.
        prompt: that it was given.
        seed: of its noise.
        attempts: seeds that were tried before.
    """

    index: int
    begin_s: float
    end_s: float
    prompt: str
    seed: int
    attempts: tuple[WindowAttempt, ...] = ()

    def record(self) -> dict[str, object]:
        """Return it as JSON values, without the prompt, and with the last attempts only."""
        made: dict[str, object] = {"begin_s": round(self.begin_s, 4), "end_s": round(self.end_s, 4), "seed": self.seed}
        if self.attempts:
            last = self.attempts[-MOST_RECORDED:]
            made["attempts"] = [{"seed": one.seed, "found": one.found} for one in last]
        return made


@dataclass(frozen=True, eq=False)
class Piece:
    """The next part of a clip; frames and samples of one piece need not last equally long.

    Attributes:
        frames: (F, H, W, 3) uint8.
        samples: (1, S) float32 in [-1, 1].
    """

    frames: np.ndarray
    samples: np.ndarray


@dataclass(frozen=True, eq=False)
class Watch:
    """Who is told of a long clip while it is made.

    Attributes:
        on_step: called with (window, steps done) after each step of the sampler.
        on_window: called with each window that is there.
    """

    on_step: Callable[[int, int], None] = field(default=lambda *_: None)
    on_window: Callable[[WindowReport], None] = field(default=lambda _: None)


def window_seed(seed: int, window: int, attempt: int) -> int:
    """Return the seed of a window: of the first one that of the clip, so that it is the clip that a call makes."""
    return seed if not window and not attempt else derived_seed(seed, "window", window, attempt)
