"""A request to a file: what can be wrong is found first, the weights are loaded last."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mova.errors import ConfigError
from mova.generate.dims import dims_from_directory
from mova.generate.few_steps import DISTILLED, find_few_steps, read_recommended, with_recommended
from mova.generate.locate import find_model, read_defaults
from mova.generate.processes import Processes, join
from mova.generate.request import GenerateRequest, LoraChoice, SamplingSettings
from mova.generate.runtime import Runtime
from mova.models.lora_source import find_lora

if TYPE_CHECKING:
    from mova.codecs.prompt import CutPrompt
    from mova.generate.output import CallCount

logger = logging.getLogger(__name__)

OnProgress = Callable[[str, int, int], None]
"""Called with (stage, done, in all) when a stage begins and after each step of it."""

LOADING, SAMPLING, DECODING, WRITING = "loading", "sampling", "decoding", "writing"


@dataclass(frozen=True)
class GeneratedFile:
    """A clip on disk and how it was made.

    Attributes:
        path: of the file.
        metadata: what the file itself says of its origin.
        num_frames, frame_rate, height, width, sample_rate: of the clip.
        duration_s: of the picture.
        cut_prompts: what of the prompts had no effect.
        calls: what was asked of the model.
        seconds: spent per stage.
    """

    path: str
    metadata: Mapping[str, str]
    num_frames: int
    frame_rate: float
    height: int
    width: int
    sample_rate: int
    duration_s: float
    cut_prompts: tuple[CutPrompt, ...]
    calls: CallCount
    seconds: Mapping[str, float]

    def to_json(self) -> str:
        """Return one line of JSON; of ASCII letters, which every encoding has."""
        return json.dumps(asdict(self))


def make_request(
    model: str,
    *,
    prompt: str,
    negative_prompt: str | None = None,
    seed: int = 0,
    index: int = 0,
    files: Mapping[str, Any] | None = None,
    loras: Sequence[LoraChoice] = (),
    speed: str = "exact",
    **given: Any,
) -> tuple[Path, GenerateRequest]:
    """Find the model and complete what was not given (None) with its recommendations; loads no weights.

    Args:
        model: shipped name, directory or hub id.
        prompt: what happens and what is heard.
        negative_prompt: what guidance leads away from.
        seed: 0 or more.
        index: number of the clip among those of its seed.
        files: paths of `image`, `last_image`, `video`, `audio`.
        loras: what to adapt the model with.
        speed: rung of the ladder in `mova.generate.speed`; what is given counts all the same.
        given: fields of `SamplingSettings`.

    Returns:
        The model's directory and the request.

    Raises:
        MovaError: a value that cannot be used, or a model that is not there.
    """
    folder = find_model(model)
    defaults = read_defaults(folder, model)
    if speed == DISTILLED:
        few_steps = find_few_steps(model, folder)
        defaults = with_recommended(defaults, read_recommended(few_steps), few_steps.name)
        loras = (LoraChoice(few_steps), *loras)
    media = files or {}
    settings = SamplingSettings.for_model(
        defaults,
        dims_from_directory(folder).codec,
        speed=speed,
        hold_video=media.get("video") is not None,
        hold_audio=media.get("audio") is not None,
        **given,
    )
    return folder, GenerateRequest(
        prompt=prompt,
        negative_prompt=defaults.negative_prompt if negative_prompt is None else negative_prompt,
        seed=seed,
        index=index,
        settings=settings,
        # A path says nothing on another machine; a name does.
        model=folder.resolve().name if Path(model).is_dir() else model,
        loras=tuple(loras),
        **media,
    )


def generate_file(
    request: GenerateRequest,
    folder: Path,
    output: Path,
    *,
    processes: Processes | None = None,
    runtime: Runtime | None = None,
    on_progress: OnProgress = lambda *_: None,
) -> GeneratedFile:
    """Generate one clip and write it, with its origin in the file's metadata.

    Args:
        request: checked.
        folder: the model's directory.
        output: an .mp4 file; appears only when it is complete.
        processes: how this process shares the work with others, all of which make this call; the main one writes.
        runtime: memory, quantisation and kernels.
        on_progress: told about each stage.

    Raises:
        MovaError: an output that cannot be written or an input that cannot be read (before weights are loaded), weights
            that do not fit, latents that are not finite.
    """
    from mova.generate.media_files import read_inputs
    from mova.media.write import check_writable, remove_stale, write_clip

    clock = _Clock(on_progress)
    clock.begin(LOADING)
    target = check_writable(output)
    remove_stale(target.parent)
    inputs = read_inputs(request)
    metadata = describe(request, folder)
    pipeline, device, result = _generate(request, folder, inputs, processes, runtime or Runtime(), clock)
    clock.begin(WRITING)
    metadata |= {"device": device}
    if runtime and runtime.quantization:
        metadata |= {"quantization": runtime.quantization}

    def write() -> GeneratedFile:
        clip = result.clip()
        write_clip(target, clip, metadata=metadata)
        return GeneratedFile(
            path=str(output),
            metadata=metadata,
            num_frames=len(clip.frames),
            frame_rate=clip.frame_rate,
            height=clip.frames.shape[1],
            width=clip.frames.shape[2],
            sample_rate=clip.sample_rate,
            duration_s=clip.duration_s,
            cut_prompts=result.cut_prompts,
            calls=result.calls,
            seconds=clock.end(),
        )

    made: GeneratedFile = pipeline.parallel.from_main(write)
    return made


def describe(request: GenerateRequest, folder: Path) -> dict[str, str]:
    """Return what a clip says of its origin: prompt, seed, settings, model and weights."""
    from mova import __version__
    from mova.generate.load import weights_hash

    files = {name: getattr(request, name) for name in ("image", "last_image", "video", "audio")}
    loras = [
        {"file": source.name, "scale": lora.scale, "sha256": _file_hash(source.weights)}
        for lora, source in ((lora, find_lora(lora.path)) for lora in request.loras)
    ]
    return {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "seed": str(request.seed),
        **({"index": str(request.index)} if request.index else {}),
        "settings": json.dumps(_sampling_arguments(request.settings)),
        "model": request.model,
        "weights_sha256": weights_hash(folder),
        "mova": __version__,
        **({"loras": json.dumps(loras)} if loras else {}),
    } | {name: path.name for name, path in files.items() if path is not None}


def _sampling_arguments(settings: SamplingSettings) -> dict[str, Any]:
    return {name: value for name, value in vars(settings).items() if name not in ("codec", "geometry")}


def _generate(
    request: GenerateRequest,
    folder: Path,
    inputs: Mapping[str, Any],
    processes: Processes | None,
    runtime: Runtime,
    clock: _Clock,
) -> tuple[Any, str, Any]:
    """Load and sample; with automatic memory again and in less of it, when it runs out."""
    from mova.generate.free_memory import is_out_of_memory, release_memory

    is_automatic = runtime.memory == "auto"
    while True:
        pipeline = None
        try:
            pipeline, device = _load(folder, request, processes, runtime)
            clock.begin(SAMPLING, request.settings.num_inference_steps)
            result = pipeline(
                request.prompt,
                negative_prompt=request.negative_prompt,
                seed=request.seed,
                index=request.index,
                callback_on_step_end=lambda _, step, *__: clock.step(step + 1),
                **inputs,
                **_sampling_arguments(request.settings),
            )
            return pipeline, device, result
        except Exception as error:
            if processes is not None or not is_out_of_memory(error):
                raise
            tried = runtime.memory if pipeline is None else pipeline.placement_name
            runtime = _in_less_memory(runtime, tried, is_automatic, error)
        # Outside the handler: the error holds on to everything that was there when memory ran out.
        pipeline = None
        release_memory()
        clock.begin(LOADING)


def _in_less_memory(runtime: Runtime, tried: str, is_automatic: bool, error: Exception) -> Runtime:
    """Return what to try after memory has run out, or raise what to say."""
    import torch

    from mova.generate.memory import next_placement

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


def _load(
    folder: Path, request: GenerateRequest, processes: Processes | None, runtime: Runtime | None
) -> tuple[Any, str]:
    import torch

    from mova.generate.load import load_pipeline

    loras = [(lora.path, lora.scale) for lora in request.loras]
    if processes is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        pipeline = load_pipeline(
            folder, device=device, loras=loras, runtime=runtime, geometry=request.settings.geometry
        )
    else:
        parallel, own = join(processes, request, folder)
        device = f"{parallel.world_size} x {own.type}"
        pipeline = load_pipeline(
            folder,
            device=own,
            loras=loras,
            parallel=parallel,
            shard_weights=processes.shard_weights,
            runtime=runtime,
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline, device


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Clock:
    """Times the stages and passes them on."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        self._stage, self._total, self._since = "", 1, time.monotonic()
        self._seconds: dict[str, float] = {}

    def begin(self, stage: str, total: int = 1) -> None:
        self.end()
        self._stage, self._total = stage, total
        self._on_progress(stage, 0, total)

    def step(self, done: int) -> None:
        self._on_progress(self._stage, done, self._total)
        if done == self._total and self._stage == SAMPLING:
            self.begin(DECODING)

    def end(self) -> dict[str, float]:
        now = time.monotonic()
        if self._stage:
            self._seconds[self._stage] = round(now - self._since, 3)
        self._since = now
        return self._seconds
