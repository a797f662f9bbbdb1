"""From the options of `mova generate` to the clips that are to be made: lists, counts, and clips made again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mova.cli.options import parse_lora, parse_size
from mova.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from mova.generate.many import Job
    from mova.generate.request import GenerateRequest, LoraChoice
    from mova.pipeline.origin import Origin

_NAMES = {"steps": "num_inference_steps", "frames": "num_frames", "fps": "frame_rate", "start": "start_s"}
# What a speed decides; with another one than that of the clip it is decided anew.
_OF_SPEED = (
    *("num_inference_steps", "sampler", "guidance_interval", "adaptive_guidance", "step_cache", "step_cache_order"),
    *("guidance_scale", "modality_scale", "guidance_rescale", "video_shift", "audio_shift"),
)
# What is given rules out what a clip was made from before.
_CONTRARY = {
    "video": ("image", "last_image", "audio"),
    "audio": ("video",),
    "image": ("video",),
    "last_image": ("video",),
}


@dataclass(frozen=True)
class Clips:
    """What a command is to make.

    Attributes:
        folder: the model's directory.
        jobs: requests and their files, one or more.
        are_several: whether more than one clip was asked for.
        quantization: of the weights: as given, else that of the clip that is made again.
        origin: how that clip was made; None without `--from`.
    """

    folder: Path
    jobs: Sequence[Job]
    are_several: bool
    quantization: str | None
    origin: Origin | None


def plan_clips(
    given: Mapping[str, Any],
    output: Path,
    *,
    model: str | None,
    loras: Sequence[str],
    speed: str | None,
    count: int | None,
    prompts: Path | None,
    source: Path | None,
    quantize: str | None,
    on_note: Callable[[str], None],
) -> Clips:
    """Complete what was given and check it, before anything is loaded.

    Args:
        given: options by name; None is not given.
        output: see `make_jobs`.
        model: name, directory or hub id.
        loras: as `parse_lora` reads them.
        speed: rung of the ladder.
        count: clips of each prompt.
        prompts: list of prompts, see `read_prompts`.
        source: a clip to make again; what is given beside it wins.
        quantize: of the large weights.
        on_note: told what differs from that clip.

    Raises:
        MovaError: a value that cannot be used.
    """
    from mova.generate.many import make_jobs, read_prompts
    from mova.generate.request import LoraChoice
    from mova.generate.run import make_request
    from mova.pipeline.origin import read_origin
    from mova.weights.locate import find_model

    own = {name: value for name, value in given.items() if value is not None}
    origin = None if source is None else read_origin(source)
    if prompts is not None and "prompt" in own:
        raise ConfigError("prompt and prompts are both given; give one of them")
    if origin is None and prompts is None and "prompt" not in own:
        raise ConfigError("prompt must hold text, got none; give --prompt, --prompts FILE or --from CLIP.mp4")
    if origin is not None:
        own.setdefault("index", origin.index)
    listed = None if prompts is None else read_prompts(prompts)
    name = model or (origin.model if origin else "mova-tiny")
    try:
        folder = find_model(name)
    except CheckpointError as error:
        if origin is None or model is not None:
            raise
        raise CheckpointError(f"the model of {origin.path.name} must be given with --model: {error}") from error
    chosen = [LoraChoice(*parse_lora(text)) for text in loras]

    def make(options: Mapping[str, Any]) -> GenerateRequest:
        arguments, adapters = _arguments(options), list(chosen)
        if origin is not None:
            arguments, recorded = _beside_origin(arguments, origin, folder, has_loras=bool(loras), speed=speed)
            adapters = recorded or adapters
            _note_changes(arguments, origin, on_note)
        return make_request(name, folder=folder, loras=adapters, speed=speed or "exact", **arguments)[1]

    wanted = [{**own, **options} for options in listed] if listed is not None else [own]
    jobs = make_jobs(wanted, count, output, make, is_list=listed is not None)
    quantization = quantize or (origin.quantization if origin else None)
    return Clips(folder, jobs, listed is not None or len(jobs) > 1, quantization, origin)


def note_other_weights(clips: Clips, on_note: Callable[[str], None]) -> None:
    """Say that a clip that is made again was made with other weights."""
    if clips.origin is None or clips.origin.weights_sha256 is None:
        return
    from mova.weights.fingerprint import weights_hash

    found = weights_hash(clips.folder)
    if found != clips.origin.weights_sha256:
        on_note(
            f"weights: {clips.folder.name} has sha256 {found}, {clips.origin.path.name} was made with "
            f"{clips.origin.weights_sha256}: the clip will be another"
        )


def _arguments(options: Mapping[str, Any]) -> dict[str, Any]:
    """Turn options of the command into arguments of `make_request`."""
    from mova.pipeline.origin import INPUTS

    found: dict[str, Any] = {"files": {name: options[name] for name in INPUTS if name in options}}
    for name, value in options.items():
        if name == "size":
            found["width"], found["height"] = parse_size(value)
        elif name not in INPUTS and name != "output":
            found[_NAMES.get(name, name)] = value
    return found


def _beside_origin(
    given: dict[str, Any], origin: Origin, folder: Path, *, has_loras: bool, speed: str | None
) -> tuple[dict[str, Any], list[LoraChoice]]:
    """Return what a clip was made with, where nothing else is given, and its LoRAs."""
    from mova.generate.request import LoraChoice
    from mova.names import FEW_STEPS_FILE
    from mova.pipeline.origin import find_recorded

    near = [origin.path.parent, Path()]
    files = dict(given.pop("files"))
    ruled_out = {contrary for name in files for contrary in _CONTRARY[name]}
    for name, recorded in origin.inputs.items():
        if name not in files and name not in ruled_out:
            files[name] = find_recorded(name, recorded, origin, near)
    settings = dict(origin.settings)
    if speed is not None:
        settings = {name: value for name, value in settings.items() if name not in _OF_SPEED}
    own: dict[str, Any] = {"prompt": origin.prompt, "negative_prompt": origin.negative_prompt}
    own |= {"seed": origin.seed, "index": origin.index}
    if "video" in files or "audio" in files:
        own["start_s"] = origin.start_s
    adapters = [
        LoraChoice(find_recorded("lora", recorded, origin, [*near, folder]), recorded.scale)
        for recorded in origin.loras
        if not has_loras and not (speed is not None and recorded.file == FEW_STEPS_FILE)
    ]
    return {**own, **settings, **given, "files": files}, adapters


def _note_changes(arguments: Mapping[str, Any], origin: Origin, on_note: Callable[[str], None]) -> None:
    """Say by their hashes which files are others than those of the clip."""
    from mova.pipeline.origin import file_sha256

    for name, recorded in origin.inputs.items():
        path = arguments["files"].get(name)
        if path is None or recorded.sha256 is None or not path.is_file():
            continue
        found = file_sha256(path)
        if found != recorded.sha256:
            on_note(f"{name}: {path} with sha256 {found} in place of {recorded.file} with {recorded.sha256}")
