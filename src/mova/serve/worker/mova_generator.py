"""Clips by a MOVA model that is loaded once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mova.errors import ConfigError
from mova.generate.again import Made as SoundClip
from mova.generate.again import make_batch_until_sound, make_until_sound
from mova.generate.media_files import read_inputs
from mova.generate.record import describe
from mova.generate.request import GenerateRequest
from mova.generate.run import make_request
from mova.generate.session import WRITING, Clock, Session
from mova.serve.jobs.options import options_of
from mova.serve.jobs.records import ClipOrder
from mova.serve.settings import ServeSettings
from mova.serve.worker.generator import Made, Task, Watch
from mova.serve.worker.images import spritesheet, thumbnail, waveform
from mova.serve.worker.long_clip import make_long_clip
from mova.settings.sampling import GivenSettings
from mova.weights.locate import find_model

if TYPE_CHECKING:
    import numpy as np

    from mova.codecs.preview import Preview
    from mova.pipeline.loop.control import Control, SamplingStep

_MB = 2**20


class MovaGenerator:
    """Makes clips with the model and the LoRAs of a server's settings.

    Args:
        settings: of the server.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._settings, self._runtime = settings, settings.runtime()
        self._loras = settings.lora_choices()
        self._folder, self._fingerprint = Path(), ""
        self._session: Session | None = None
        self._preview: Preview | None = None

    def load(self, on_progress: Callable[[str, int, int], None]) -> Mapping[str, object]:
        """Find the model, load it and make a tiny clip with it."""
        from mova.codecs.preview import Preview
        from mova.weights.fingerprint import weights_hash

        self._folder = find_model(self._settings.model)
        self._fingerprint, self._preview = weights_hash(self._folder), Preview.for_model(self._folder)
        largest = self._request(ClipOrder(prompt="a", seed=0, speed=self._settings.speed), {})
        self._session = Session(self._folder, largest.settings.geometry, None, self._runtime)
        self._tiny_clip(Clock(on_progress))
        return {"model": largest.model, **self._session.circumstances()}

    def check_health(self) -> None:
        """Make a tiny clip."""
        self._tiny_clip(Clock(lambda *_: None))

    def most_together(self, order: ClipOrder) -> int:
        """Return how many such clips fit into memory."""
        return self._loaded().most_clips(self._request(order, {}), together=True)

    def make(self, tasks: Sequence[Task], watch: Watch) -> Sequence[Made]:
        """Make clips: one with its own bits; several in one forward, which are those of each up to rounding."""
        session = self._loaded()
        began_s = time.monotonic()
        _reset_peak()
        requests = [self._request(task.order, task.inputs) for task in tasks]
        clock = Clock(watch.on_progress)
        if requests[0].long is not None:
            record, control = self._describe(requests[0]), self._control(watch, [0])
            made = [make_long_clip(session, requests[0], tasks[0], self._fingerprint, record, clock, watch, control)]
        else:
            made = self._make_at_once(session, requests, tasks, clock, watch)
        facts = {"inference_s": round(time.monotonic() - began_s, 3), "peak_memory_mb": _peak_mb()}
        return [replace(one, facts={**one.facts, **facts, "stages_s": clock.end()}) for one in made]

    def _make_at_once(
        self,
        session: Session,
        requests: Sequence[GenerateRequest],
        tasks: Sequence[Task],
        clock: Clock,
        watch: Watch,
    ) -> list[Made]:
        """Make clips of one window."""
        inputs = [read_inputs(request, start_s=request.start_s) for request in requests]
        notes: list[list[str]] = [[] for _ in tasks]
        if len(tasks) == 1:
            control = self._control(watch, [0])
            found = [make_until_sound(session, requests[0], inputs[0], clock, notes[0].append, control=control)]
        else:
            found = make_batch_until_sound(
                session,
                requests,
                inputs,
                clock,
                lambda place, note: notes[place].append(note),
                partial(self._control, watch),
            )
        clock.begin(WRITING)
        return [self._write(*each) for each in zip(found, requests, tasks, notes, strict=True)]

    def _describe(self, request: GenerateRequest) -> dict[str, object]:
        return describe(request, self._folder, runtime=self._runtime, weights_sha256=self._fingerprint)

    def _write(self, made: SoundClip, request: GenerateRequest, task: Task, notes: Sequence[str]) -> Made:
        from mova.generate.written import write_result

        metadata = self._describe(request) | made.record(request) | self._loaded().circumstances()
        clip = made.clip
        written = write_result(task.output, request, made.result, metadata, place=made.place, clip=clip)
        facts: dict[str, object] = {
            "metadata": dict(written.metadata),
            "seed": made.seed,
            "attempts": [asdict(one) for one in made.attempts],
            "notes": list(notes),
            "num_frames": written.num_frames,
            "frame_rate": written.frame_rate,
            "height": written.height,
            "width": written.width,
            "duration_s": written.duration_s,
        }
        samples = made.result.sound(made.place) if clip is None else clip.waveform
        outline = b"" if samples is None else waveform(samples)
        if clip is None:
            return Made(facts, waveform=outline)
        return Made(facts, thumbnail(clip.frames), outline, spritesheet(clip.frames))

    def _control(self, watch: Watch, places: Sequence[int]) -> Control:
        """Return the control of a run that makes the tasks at some places."""
        from mova.pipeline.loop.control import Control

        def show(step: SamplingStep) -> None:
            if self._preview is not None and step.done < step.total:
                for row, place in enumerate(places):
                    watch.on_preview(place, partial(self._seen, step, row))

        return Control(
            on_step=show,
            is_stopped=watch.is_stopped,
            resume_from=watch.resume_from,
            save_state=watch.save_state,
            every=watch.every,
        )

    def _seen(self, step: SamplingStep, row: int) -> np.ndarray:
        assert self._preview is not None, "it was asked for"
        return self._preview(step.clean().video[row])

    def _request(self, order: ClipOrder, inputs: Mapping[str, Path]) -> GenerateRequest:
        asked = options_of(order, inputs)
        _, request = make_request(
            self._settings.model, asked, folder=self._folder, loras=self._loras, speed=order.speed
        )
        return request

    def _tiny_clip(self, clock: Clock) -> None:
        """Make the smallest clip of the model's kind, in one step."""
        session = self._loaded()
        whole = self._request(ClipOrder(prompt="a", seed=0), {}).settings
        codec = whole.codec
        side = 2 * codec.spatial_stride
        given: dict[str, Any] = {"height": side, "width": side, "num_frames": 1 + codec.temporal_stride}
        tiny = GivenSettings(**given, num_inference_steps=1, guidance_scale=1.0, modality_scale=1.0)
        session.generate(self._request(ClipOrder(prompt="a", seed=0, settings=tiny.values()), {}), {}, clock)

    def _loaded(self) -> Session:
        if self._session is None:
            raise ConfigError("a model must be loaded before clips are made")
        return self._session


def make_generator(settings: ServeSettings, options: Mapping[str, object]) -> MovaGenerator:
    """Return what makes the clips of a server."""
    del options
    return MovaGenerator(settings)


def _reset_peak() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def _peak_mb() -> int:
    """Return the most memory that was taken: on a GPU since the last reset, else by this process in all its time."""
    import resource

    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated()) // _MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
