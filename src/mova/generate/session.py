"""A model that is loaded once and makes one clip after the other; in less memory where it runs out; timed by stages."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mova.errors import ConfigError
from mova.files.json_file import shorten
from mova.generate.processes import Processes, join
from mova.generate.request import GenerateRequest
from mova.pipeline.origin import INPUTS, file_sha256
from mova.pipeline.runtime import Runtime

if TYPE_CHECKING:
    from mova.generate.media_files import MediaArrays
    from mova.geometry import ClipGeometry
    from mova.pipeline.inputs.call import CallInputs
    from mova.pipeline.loop.control import Control
    from mova.pipeline.output import MovaPipelineOutput
    from mova.pipeline.pipeline import MovaPipeline

logger = logging.getLogger(__name__)

OnProgress = Callable[[str, int, int], None]
"""Called with (stage, done, in all) when a stage begins and whenever it has moved: loading in megabytes, sampling in
steps, decoding in latent frames."""

Loading = Callable[[], AbstractContextManager[None]]
"""Opened around everything that loads a model, also the imports that this needs."""

LOADING, SAMPLING, DECODING, WRITING = "loading", "sampling", "decoding", "writing"
_MB = 10**6


class Session:
    """Generates clips with one model.

    Args:
        folder: the model's directory.
        geometry: of the largest clip; memory is chosen for it.
        processes: how this process shares the work with others; None where it is alone.
        runtime: memory, quantisation and kernels.
        loading: surroundings in which the model is loaded.

    Attributes:
        pipeline: once it is loaded.
        device: that computes, in words.
    """

    def __init__(
        self,
        folder: Path,
        geometry: ClipGeometry,
        processes: Processes | None,
        runtime: Runtime,
        loading: Loading = nullcontext,
    ) -> None:
        self.pipeline: MovaPipeline | None = None
        self.device = ""
        self._folder, self._geometry, self._processes = folder, geometry, processes
        self._runtime, self._is_automatic, self._loading = runtime, runtime.memory == "auto", loading

    def circumstances(self) -> dict[str, object]:
        """Return what a clip's record says of how it was computed, once it has been: device, precision and kernels."""
        from mova.kernels.compile import is_compiled
        from mova.names import COMPONENTS
        from mova.pipeline.kernels import describe_linears
        from mova.pipeline.precision import name_of

        found: dict[str, object] = {"device": self.device}
        if self.pipeline is not None:
            found["precision"] = name_of(self.pipeline.dtype)
        if self.pipeline is not None and "cpu" in self.device:
            networks = [getattr(self.pipeline, name) for name in (*COMPONENTS, "text_encoder")]
            found["kernels"] = describe_linears(self._runtime, [one for one in networks if one is not None])
        if self.pipeline is not None and is_compiled(self.pipeline.video_dit):
            found["compiled"] = True
        return found

    def generate(
        self, request: GenerateRequest, inputs: MediaArrays, clock: Clock, *, control: Control | None = None
    ) -> tuple[MovaPipeline, MovaPipelineOutput]:
        """Make one clip; with automatic memory again and in less of it, when it runs out.

        Args:
            request: checked.
            inputs: its media.
            clock: told about the stages.
            control: watches the run, stops it, keeps its state and goes on from it. A run that ran out of memory begins
                again where the control says.

        Raises:
            StateError: the control's state is of another run.
            StoppedError: the control asked for it; the session can be used again.
        """
        return self._generate([request], [inputs], clock, control)

    def most_clips(self, request: GenerateRequest, *, together: bool = False) -> int:
        """Return how many clips like a request one call may make, 1 to `MOST_CLIPS`; 1 before the model is loaded.

        Args:
            request: of one of them.
            together: see `generate_batch`.
        """
        from mova.plan.batch import most_clips
        from mova.plan.cost import step_cache_use
        from mova.plan.free import room_of
        from mova.weights.dims import dims_from_directory

        if self.pipeline is None or self._processes is not None:
            return 1
        return most_clips(
            dims_from_directory(self._folder),
            request.settings.geometry,
            room_of(self.pipeline.device),
            element_bytes=self.pipeline.dtype.itemsize,
            together=together,
            step_cache=step_cache_use(request.settings),
        )

    def generate_batch(
        self,
        requests: Sequence[GenerateRequest],
        inputs: Sequence[MediaArrays],
        clock: Clock,
        *,
        together: bool = False,
        control: Control | None = None,
    ) -> tuple[MovaPipeline, MovaPipelineOutput]:
        """Make several clips of the same settings in one call; `clip(i)` of the result is that of request i.

        Args:
            requests: checked; with the same settings and LoRAs, and the same kinds of media.
            inputs: media of each.
            clock: told about the stages, which all clips have in common.
            together: let the towers compute all of them in one forward: less time where forwards are small, and clips
                that equal those made alone up to rounding. False computes them in turns, with the bits of each alone.
            control: as of `generate`, for all of them; a state is one of this very batch.

        Raises:
            ConfigError: requests that do not go together, or more than `most_clips` allows.
        """
        _check_alike(requests, inputs)
        if self.pipeline is not None and len(requests) > (most := self.most_clips(requests[0], together=together)):
            raise ConfigError(
                f"a batch must have at most {most} clips of this size in this memory, got {len(requests)}"
            )
        return self._generate(list(requests), list(inputs), clock, control, clip_by_clip=not together)

    def _generate(
        self,
        requests: Sequence[GenerateRequest],
        inputs: Sequence[MediaArrays],
        clock: Clock,
        control: Control | None,
        *,
        clip_by_clip: bool = False,
    ) -> tuple[MovaPipeline, MovaPipelineOutput]:
        from mova.plan.free import is_out_of_memory, release_memory

        while True:
            try:
                if self.pipeline is None:
                    with self._loading():
                        self.pipeline = self._load(requests[0], clock)
                clock.begin(SAMPLING, requests[0].settings.num_inference_steps)
                with _decoding_shown(self.pipeline, requests, clock):
                    asked = replace(_asked(requests, inputs, clock), control=self._known(control, requests[0]))
                    asked = replace(asked, clip_by_clip=clip_by_clip)
                    return self.pipeline, self.pipeline.run(requests[0].settings, asked)
            except Exception as error:
                if self._processes is not None or not is_out_of_memory(error):
                    raise
                tried = self._runtime.memory if self.pipeline is None else self.pipeline.placement_name
                self._runtime = _in_less_memory(self._runtime, tried, self._is_automatic, error)
            # Outside the handler: the error holds on to everything that was there when memory ran out.
            self.pipeline = None
            release_memory()
            clock.begin(LOADING)

    def _known(self, control: Control | None, request: GenerateRequest) -> Control | None:
        """Let a control tell runs apart by what only a session knows."""
        if control is None or not control.needs_identity:
            return control
        loras = [(file_sha256(lora.path), lora.scale) for lora in request.loras]
        own = {"loras": loras, "quantization": self._runtime.quantization, "attention": self._runtime.attention}
        return replace(control, about={**control.about, **own, **self.circumstances()})

    def _load(self, request: GenerateRequest, clock: Clock) -> MovaPipeline:
        from mova.device import choose_device
        from mova.pipeline.load import load_pipeline
        from mova.plan.cost import step_cache_use

        options: dict[str, Any] = {
            "loras": [(lora.path, lora.scale) for lora in request.loras],
            "runtime": self._runtime,
            "on_bytes": lambda done, total: clock.move(done // _MB, max(1, total // _MB)),
        }
        if self._processes is None:
            self.device = choose_device().type
            options |= {"geometry": self._geometry, "step_cache": step_cache_use(request.settings)}
            pipeline = load_pipeline(self._folder, device=self.device, **options)
        else:
            parallel, own = join(self._processes, request, self._folder)
            self.device = f"{parallel.world_size} x {own.type}"
            pipeline = load_pipeline(
                self._folder,
                device=own,
                parallel=parallel,
                shard_weights=self._processes.shard_weights,
                **options,
            )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline


class Clock:
    """Times the stages of one clip and passes them on.

    Args:
        on_progress: told about each stage.

    Attributes:
        stage: that runs.
    """

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        self.stage, self._total, self._since = "", 1, time.monotonic()
        self._seconds: dict[str, float] = {}

    def begin(self, stage: str, total: int = 1) -> None:
        """End the stage before and begin another."""
        self.end()
        self.stage, self._total = stage, total
        self._on_progress(stage, 0, total)

    def move(self, done: int, total: int) -> None:
        """Say how far the stage is."""
        self._total = total
        self._on_progress(self.stage, min(done, total), total)

    def step(self, done: int) -> None:
        """Say how many steps of the sampler are done; after the last comes the decoding."""
        self._on_progress(self.stage, done, self._total)
        if done == self._total and self.stage == SAMPLING:
            self.begin(DECODING)

    def end(self) -> dict[str, float]:
        """Return the seconds of each stage so far."""
        now = time.monotonic()
        if self.stage:
            self._seconds[self.stage] = round(self._seconds.get(self.stage, 0.0) + now - self._since, 3)
        self._since = now
        return self._seconds


def _check_alike(requests: Sequence[GenerateRequest], inputs: Sequence[MediaArrays]) -> None:
    if not requests or len(requests) != len(inputs):
        raise ConfigError(
            f"a batch must have clips with their media, got {len(requests)} clips and {len(inputs)} media"
        )
    first = requests[0]
    for request, media in zip(requests, inputs, strict=True):
        own, wanted = (
            (one.settings, one.loras, one.conditions(), one.fit, set(given))
            for one, given in ((request, media), (first, inputs[0]))
        )
        if own != wanted:
            raise ConfigError(
                "clips of a batch must have the same settings, LoRAs and kinds of media, got "
                f"{shorten(request.prompt)} with others than {shorten(first.prompt)}; make it in another call"
            )


def _asked(requests: Sequence[GenerateRequest], inputs: Sequence[MediaArrays], clock: Clock) -> CallInputs:
    """Return what the pipeline is given for clips: texts, seeds and media of each."""
    import numpy as np

    from mova.pipeline.inputs.call import CallInputs
    from mova.pipeline.inputs.media import GivenMedia, GivenNoise

    each: dict[str, Any] = {name: [dict(media)[name] for media in inputs] for name in INPUTS if name in inputs[0]}
    if "audio" in each:
        each["audio"] = np.stack(each["audio"])
    if "keyframes" in inputs[0]:
        each["keyframes"] = {
            time_s: [media["keyframes"][time_s] for media in inputs] for time_s in inputs[0]["keyframes"]
        }
    said = requests[0].conditions()
    media = GivenMedia(
        **each, keep_video=said.keep_video, keep_audio=said.keep_audio, outputs=said.outputs, fit=requests[0].fit
    )
    return CallInputs(
        prompt=[request.prompt for request in requests],
        negative_prompt=[request.negative_prompt for request in requests],
        media=media,
        noise=GivenNoise(seed=[one.seed for one in requests], index=[one.index for one in requests]),
        on_step_end=lambda _, step, *__: clock.step(step + 1),
    )


@contextmanager
def _decoding_shown(pipeline: MovaPipeline, requests: Sequence[GenerateRequest], clock: Clock) -> Iterator[None]:
    """Tell the clock of each part that the video decoder is given, in latent frames."""
    geometry = requests[0].settings.geometry
    done = 0

    def count(_module: Any, arguments: tuple[Any, ...], _result: Any) -> None:
        nonlocal done
        done += arguments[0][0, 0].numel()
        if clock.stage == DECODING:
            clock.move(done * geometry.num_latent_frames // max(1, total), geometry.num_latent_frames)

    total = len(requests) * geometry.num_latent_frames * geometry.latent_height * geometry.latent_width
    handle = pipeline.video_vae.decoder.register_forward_hook(count)
    try:
        yield
    finally:
        handle.remove()


def _in_less_memory(runtime: Runtime, tried: str, is_automatic: bool, error: Exception) -> Runtime:
    """Return what to try after memory has run out, or raise what to say."""
    import torch

    from mova.plan.memory import next_placement

    tried = "resident" if tried == "auto" else tried
    following = next_placement(tried, is_gpu=torch.cuda.is_available())
    if following is None:
        raise ConfigError(
            f"memory ran out with memory={tried}, the placement that takes least; fewer frames, a smaller size or "
            "quantised weights need less"
        ) from error
    if not is_automatic:
        raise ConfigError(
            f"memory ran out with memory={tried}; nearest that needs less is memory={following} "
            "(memory=auto goes there by itself)"
        ) from error
    logger.warning("memory ran out with memory=%s; going on with memory=%s", tried, following)
    return replace(runtime, memory=following)
