"""From the options of `mova generate` to the clips that are to be made: lists, counts, and clips made again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from mova.checks import check_precision
from mova.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from mova.generate.enhance.enhanced import EnhancementRecord
    from mova.generate.enhance.settings import EnhanceSettings
    from mova.generate.long.choice import LongChoice
    from mova.generate.many import Job
    from mova.generate.request import ClipOptions, GenerateRequest, LoraChoice
    from mova.kernels.linear_choice import LinearChoice
    from mova.pipeline.origin import Origin

# What is given rules out what a clip was made from before.
_CONTRARY = {
    "video": ("image", "last_image", "audio"),
    "audio": ("video",),
    "image": ("video",),
    "last_image": ("video",),
}


class KernelOptions(TypedDict, total=False):
    """Fields of `Runtime` that say how linear layers compute."""

    kernels: str
    linears: LinearChoice | None


@dataclass(frozen=True)
class Clips:
    """What a command is to make.

    Attributes:
        folder: the model's directory.
        jobs: requests and their files, one or more.
        are_several: whether more than one clip was asked for.
        quantization: of the weights: as given, else that of the clip that is made again.
        kernels: of linear layers, for `Runtime`: as given, else those of the clip that is made again.
        precision: that is computed in: as given, else that of the clip that is made again, else "auto".
        origin: how that clip was made; None without `--from`.
    """

    folder: Path
    jobs: Sequence[Job]
    are_several: bool
    quantization: str | None
    kernels: KernelOptions
    precision: str
    origin: Origin | None


def plan_clips(
    own: ClipOptions,
    output: Path,
    *,
    model: str | None,
    loras: Sequence[str],
    speed: str | None,
    count: int | None,
    prompts: Path | None,
    source: Path | None,
    quantize: str | None,
    kernels: str | None,
    precision: str | None = None,
    enhancing: EnhanceSettings | None = None,
    on_note: Callable[[str], None],
) -> Clips:
    """Complete what was given and check it, before anything is loaded.

    Args:
        own: what is asked of every clip.
        output: see `make_jobs`.
        model: name, directory or hub id.
        loras: as `parse_lora` reads them.
        speed: preset of `mova.settings.speed`.
        count: clips of each prompt.
        prompts: list of prompts, see `read_prompts`.
        source: a clip to make again; what is given beside it wins.
        quantize: of the large weights.
        kernels: of linear layers on a CPU.
        precision: that is computed in.
        enhancing: who enhances prompts; None leaves them as they are.
        on_note: told what differs from that clip, and what becomes of prompts.

    Raises:
        MovaError: a value that cannot be used.
    """
    from mova.generate.many import make_jobs, read_prompts
    from mova.generate.request import LoraChoice
    from mova.generate.run import make_request
    from mova.kernels.linear_choice import check_kernels_name
    from mova.pipeline.origin import read_origin
    from mova.weights.locate import find_model
    from mova.weights.lora.source import parse_lora

    if kernels is not None:
        check_kernels_name(kernels)
    if precision is not None:
        check_precision(precision)
    origin = None if source is None else read_origin(source)
    if prompts is not None and own.prompt is not None:
        raise ConfigError("prompt and prompts are both given; give one of them")
    if origin is None and prompts is None and own.prompt is None:
        raise ConfigError("prompt must hold text, got none; give --prompt, --prompts FILE or --from CLIP.mp4")
    if enhancing is not None and origin is not None and own.prompt is None:
        raise ConfigError(
            f"enhance is for a prompt that is given, got --from {origin.path.name} alone, whose prompt is kept as it "
            "is; nearest is without --enhance"
        )
    if origin is not None and own.index is None:
        own = replace(own, index=origin.index)
    listed = None if prompts is None else read_prompts(prompts)
    name = model or (origin.model if origin else "mova-tiny")
    try:
        folder = find_model(name)
    except CheckpointError as error:
        if origin is None or model is not None:
            raise
        raise CheckpointError(f"the model of {origin.path.name} must be given with --model: {error}") from error
    chosen = [LoraChoice(*parse_lora(text)) for text in loras]

    def make(options: ClipOptions) -> GenerateRequest:
        adapters = list(chosen)
        if origin is not None:
            options, recorded = _beside_origin(options, origin, folder, has_loras=bool(loras), speed=speed)
            adapters = recorded or adapters
            _note_changes(options, origin, on_note)
        return make_request(name, options, folder=folder, loras=adapters, speed=speed or "exact")[1]

    wanted = [row.over(own) for row in listed] if listed is not None else [own]
    jobs = make_jobs(wanted, count, output, make, is_list=listed is not None)
    if enhancing is not None:  # everything else has been checked before anybody is asked
        wanted = _enhanced(wanted, enhancing, name, folder, output, count or 1, on_note)
        jobs = make_jobs(wanted, count, output, make, is_list=listed is not None)
    quantization = quantize or (origin.quantization if origin else None)
    precision = precision or (origin.precision if origin else None) or "auto"
    are_several = listed is not None or len(jobs) > 1
    return Clips(folder, jobs, are_several, quantization, _kernels(kernels, origin), precision, origin)


def _enhanced(
    wanted: list[ClipOptions],
    settings: EnhanceSettings,
    model: str,
    folder: Path,
    output: Path,
    count: int,
    on_note: Callable[[str], None],
) -> list[ClipOptions]:
    """Return options with enhanced prompts and with the first frames that were made for them."""
    from mova.files.numbered import numbered
    from mova.generate.enhance.clips import Enhancer
    from mova.media.write import check_writable

    total = len(wanted) * count
    enhancer = Enhancer(settings, model, folder, on_note)
    found = []
    for place, options in enumerate(wanted):
        clip = output if total == 1 else numbered(output, place * count, total)
        clip = check_writable(clip.with_name(options.output) if options.output else clip)
        found.append(enhancer.enhance(options, clip.with_name(f"{clip.stem}.first.png")))
    return found


def _kernels(given: str | None, origin: Origin | None) -> KernelOptions:
    """Return how linear layers compute: as given, else as in the clip that is made again, else by default."""
    if given is not None:
        return {"kernels": given}
    return {} if origin is None else {"kernels": origin.kernels, "linears": origin.linears}


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


def _beside_origin(
    options: ClipOptions, origin: Origin, folder: Path, *, has_loras: bool, speed: str | None
) -> tuple[ClipOptions, list[LoraChoice]]:
    """Return what a clip was made with, where nothing else is given, and its LoRAs."""
    from mova.generate.given import KeyframeFile, parse_retake
    from mova.generate.request import ClipOptions, LoraChoice, MediaFiles
    from mova.names import FEW_STEPS_FILE, SHIPPED_LORAS
    from mova.pipeline.origin import find_recorded

    near = [origin.path.parent, Path()]
    given = options.files.given()
    ruled_out = {contrary for name in given for contrary in _CONTRARY[name]}
    if options.keyframes and not origin.retakes:
        ruled_out.add("video")
    recorded = {
        name: find_recorded(name, file, origin, near)
        for name, file in origin.inputs.items()
        if name not in given and name not in ruled_out
    }
    has_start = any(name in ("video", "audio") for name in (*given, *recorded))
    before = ClipOptions(
        prompt=origin.prompt,
        negative_prompt=origin.negative_prompt,
        seed=origin.seed,
        index=origin.index,
        start_s=origin.start_s if has_start else None,
        files=MediaFiles(**recorded),
        keyframes=tuple(
            KeyframeFile(time_s, find_recorded("keyframe", file, origin, near)) for time_s, file in origin.keyframes
        )
        if options.keyframes is None and not given.keys() & {"video"}
        else None,
        retakes=tuple(map(parse_retake, origin.retakes)) if not given.keys() & {"video", "audio"} else None,
        only=origin.only,
        fit=origin.fit,
        settings=origin.settings if speed is None else origin.settings.without_speed(),
        enhancement=_enhancement_of(origin) if options.prompt in (None, origin.prompt) else None,
        long=_long_of(origin, near),
    )
    adapters = [
        LoraChoice(find_recorded("lora", file, origin, [*near, folder, SHIPPED_LORAS]), file.scale)
        for file in origin.loras
        if not has_loras and not (speed is not None and file.file == FEW_STEPS_FILE)
    ]
    return options.over(before), adapters


def _long_of(origin: Origin, near: Sequence[Path]) -> LongChoice | None:
    """Return how the clip became longer than a window."""
    from mova.generate.long.choice import LongChoice
    from mova.pipeline.origin import find_recorded

    if origin.long is None:
        return None
    extend = None if origin.extend is None else find_recorded("extend", origin.extend, origin, near)
    return LongChoice.read(origin.long, extend)


def _enhancement_of(origin: Origin) -> EnhancementRecord | None:
    from mova.generate.enhance.enhanced import EnhancementRecord

    return None if origin.enhancement is None else EnhancementRecord.read(origin.enhancement)


def _note_changes(options: ClipOptions, origin: Origin, on_note: Callable[[str], None]) -> None:
    """Say by their hashes which files are others than those of the clip."""
    from mova.pipeline.origin import file_sha256

    given = options.files.given()
    for name, recorded in origin.inputs.items():
        path = given.get(name)
        if path is None or recorded.sha256 is None or not path.is_file():
            continue
        found = file_sha256(path)
        if found != recorded.sha256:
            on_note(f"{name}: {path} with sha256 {found} in place of {recorded.file} with {recorded.sha256}")
