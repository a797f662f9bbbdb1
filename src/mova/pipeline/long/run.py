"""A long clip, window after window: each goes on from the one before, and what is there already is not made again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import torch

from mova.conditioning.windows import Window, WindowPlan
from mova.errors import NumericalError
from mova.media.measures.collapse import find_collapse
from mova.pipeline.long.decoding import LongDecoder, to_uint8
from mova.pipeline.long.given import LongInputs, Piece, Watch, WindowAttempt, WindowReport, window_seed
from mova.pipeline.long.start import WindowStarter
from mova.pipeline.long.store import StoredWindow, WindowStore
from mova.pipeline.long.together import make_together
from mova.pipeline.loop.control import ControlledRun
from mova.pipeline.output import CallCount
from mova.settings.sampling import SamplingSettings
from mova.types import LatentPair

if TYPE_CHECKING:
    from mova.codecs.prompt import CutPrompt
    from mova.pipeline.pipeline import MovaPipeline

NOT_FINITE: Final = "not finite"


class LongRun:
    """Makes one long clip; iterate over `pieces` once.

    Args:
        pipeline: that makes the windows.
        settings: of a window; its number of frames is that of the plan.
        plan: of the windows.
        inputs: what is asked for.
        store: keeps windows, and has those of a run that was interrupted; None keeps nothing.
        watch: who is told.

    Attributes:
        reports: of the windows so far.
        calls: what was asked of the model in this process.
        cut_prompts: prompts that were longer than the model reads.
        ended: why the clip ends before its time, in words; None where it does not.
        num_frames: that were given out so far.

    Raises:
        ConfigError: prompts at times that no window has.
    """

    def __init__(
        self,
        pipeline: MovaPipeline,
        settings: SamplingSettings,
        plan: WindowPlan,
        inputs: LongInputs,
        *,
        store: WindowStore | None = None,
        watch: Watch | None = None,
    ) -> None:
        inputs.prompts.check(plan, inputs.offset_s(plan.clip))
        self._pipeline, self._plan, self._inputs = pipeline, plan, inputs
        self._store, self._watch = store, watch or Watch()
        self._num_samples = inputs.samples_until(plan.clip, plan.clip.num_frames)
        self._decoder = LongDecoder(pipeline, inputs.known_frames, inputs.known_audio, self._num_samples)
        self._settings = replace(settings, num_frames=plan.window.num_frames)
        self._starter = WindowStarter(pipeline, self._settings, plan, inputs)
        self._together: list[StoredWindow] = []
        self._cut: tuple[CutPrompt, ...] = ()
        self._rest = torch.zeros(0)
        self.reports: list[WindowReport] = []
        self.calls = CallCount(0, 0, 0)
        self.ended: str | None = None
        self.num_frames = 0

    @property
    def cut_prompts(self) -> tuple[CutPrompt, ...]:
        """Prompts that were longer than the model reads."""
        return (*self._starter.cut, *self._cut)

    @torch.no_grad()
    def pieces(self) -> Iterator[Piece]:
        """Yield the clip, a piece for each window; on processes other than rank 0 the pieces are empty.

        Raises:
            NumericalError: the first window has no finite numbers, whatever the seed.
            StoppedError: the control asked for it; windows that are there are kept in the store.
        """
        for window in self._plan.windows:
            is_last = window.index + 1 == len(self._plan.windows)
            stored = self._present(window)
            if stored is not None:
                frames = self._decode(stored.video)
            else:
                made = self._make(window)
                if made is None:
                    yield self._end(window)
                    return
                stored, frames = made
                if self._store is not None and self._pipeline.parallel.is_main:
                    self._store.save(stored)
            self.reports.append(stored.report)
            self._watch.on_window(stored.report)
            following = None if is_last else self._plan.windows[window.index + 1]
            self._starter.note(stored, frames, following)
            yield self._piece(stored, frames, self._num_samples if is_last else None)

    def _present(self, window: Window) -> StoredWindow | None:
        """Return a window that is there already: in the store, or made with all others."""
        stored = None if self._store is None else self._store.load(window.index)
        if stored is not None or self._inputs.method == "continue":
            return stored
        if not self._together:
            self._together, self.calls, self._cut = make_together(
                self._pipeline, self._settings, self._plan, self._inputs, self._store, self._watch
            )
            if self._store is not None and self._pipeline.parallel.is_main:
                for one in self._together:
                    self._store.save(one)
        return self._together[window.index]

    def _make(self, window: Window) -> tuple[StoredWindow, torch.Tensor] | None:
        """Return a window and its frames; None where no seed led to one, and `ended` says why."""
        inputs = self._inputs
        prompt = inputs.prompts.text_of(window, self._plan, inputs.offset_s(self._plan.clip))
        attempts: list[WindowAttempt] = []
        for number in range(inputs.retries + 1):
            seed = window_seed(inputs.seed, window.index, number)
            mark = self._decoder.mark()
            try:
                latents = self._denoise(window, prompt, seed)
                stored = self._stored(window, latents, prompt, seed, tuple(attempts))
                frames = self._decode(stored.video)
            except NumericalError as error:
                self._decoder.go_back(mark)
                attempts.append(WindowAttempt(seed, NOT_FINITE, str(error)))
                if number == inputs.retries and not window.index:
                    raise
                continue
            found = self._look(window, frames, seed) if inputs.retries else None
            if found is None:
                return stored, frames
            attempts.append(found)
            if number == inputs.retries and not window.index:
                # Nothing is kept that would be better than this.
                return replace(stored, report=replace(stored.report, attempts=tuple(attempts))), frames
            self._decoder.go_back(mark)
        self.ended = (
            f"the clip ends at {inputs.offset_s(self._plan.clip) + self._plan.begin_s(window):.3f} s: what follows is "
            f"{attempts[-1].words} ({len(attempts)} seeds were tried)"
        )
        return None

    def _denoise(self, window: Window, prompt: str, seed: int) -> LatentPair:
        pipeline, control = self._pipeline, self._inputs.control
        with pipeline.turn():
            plan, text, start = self._starter.start(window, prompt, seed)
            controlled = None if control is None else ControlledRun(control, {}, pipeline.parallel)
            latents, calls = pipeline.denoise(
                plan,
                text,
                start,
                on_step_end=lambda _, step, *__: self._watch.on_step(window.index, step + 1),
                controlled=controlled,
            )
        done = self.calls
        self.calls = CallCount(
            done.predictions + calls.predictions, done.repeated + calls.repeated, done.planned + calls.planned
        )
        return latents

    def _stored(
        self, window: Window, latents: LatentPair, prompt: str, seed: int, attempts: tuple[WindowAttempt, ...]
    ) -> StoredWindow:
        # The decoder sees the clip from its very beginning, which a window with known frames holds.
        first = window.known if window.index else 0
        heard = window.known_audio if window.index else 0
        plan = self._plan
        return StoredWindow(
            latents.video[:, :, first : window.kept - window.start].cpu(),
            latents.audio[:, :, heard:].cpu(),
            window.audio_kept - window.audio_start - heard,
            self._inputs.report(plan, window, prompt, seed, attempts),
        )

    def _decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode video latents on rank 0, which alone needs the frames."""
        if not self._pipeline.parallel.is_main:
            return torch.zeros(0)
        with self._pipeline.coding() as device:
            return self._decoder.frames(latents.to(device))

    def _look(self, window: Window, frames: torch.Tensor, seed: int) -> WindowAttempt | None:
        """Look at what is new in a window."""

        def look() -> WindowAttempt | None:
            known = 0 if self._inputs.known_frames is None or window.index else len(self._inputs.known_frames)
            found = find_collapse(to_uint8(frames[:, :, known:]))
            return None if found is None else WindowAttempt(seed, found.kind, str(found))

        return self._pipeline.parallel.broadcast(look)

    def _piece(self, stored: StoredWindow, frames: torch.Tensor, until: int | None) -> Piece:
        self._rest = stored.audio[:, :, stored.kept_audio :]
        return self._given(frames, stored.audio[:, :, : stored.kept_audio], until)

    def _end(self, window: Window) -> Piece:
        """Return what is left to be heard of the windows so far."""
        clip = self._plan.clip
        until = self._inputs.samples_until(clip, self._plan.frames_until(window.start + window.known))
        return self._given(torch.zeros(1, 3, 0, clip.height, clip.width), self._rest, until)

    def _given(self, frames: torch.Tensor, audio: torch.Tensor, until: int | None) -> Piece:
        if not self._pipeline.parallel.is_main:
            return Piece(to_uint8(torch.zeros(1, 3, 0, 2, 2)), torch.zeros(1, 0).numpy())
        with self._pipeline.coding() as device:
            samples = self._decoder.samples(audio.to(device), until=until)
        self.num_frames += frames.shape[2]
        return Piece(to_uint8(frames), samples)
