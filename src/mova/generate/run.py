"""A request to a file: what can be wrong is found first, the weights are loaded last."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mova.conditioning.spec import MODALITIES
from mova.errors import ConfigError, MuxError, ReadError
from mova.generate.again import Attempt, make_until_sound
from mova.generate.given import parse_only
from mova.generate.many import Job
from mova.generate.processes import Processes
from mova.generate.record import describe
from mova.generate.request import RETRIES, ClipOptions, GenerateRequest, LoraChoice
from mova.generate.session import LOADING, WRITING, Clock, Loading, OnProgress, Session
from mova.media.frames import check_fit
from mova.pipeline.origin import is_same_clip, recorded_precision
from mova.pipeline.runtime import Runtime
from mova.plan.cost import token_forwards
from mova.settings.few_steps import DISTILLED, find_few_steps, read_recommended, with_recommended
from mova.settings.sampling import SamplingSettings
from mova.weights.dims import dims_from_directory
from mova.weights.locate import find_model, read_defaults

if TYPE_CHECKING:
    from mova.codecs.prompt import CutPrompt
    from mova.generate.long.plan import LongPlan
    from mova.generate.media_files import MediaArrays
    from mova.pipeline.output import CallCount

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GeneratedFile:
    """A clip on disk and how it was made.

    Attributes:
        path: of the file.
        metadata: what the file itself says of its origin.
        num_frames, frame_rate, height, width, sample_rate: of the clip.
        duration_s: of the video.
        cut_prompts: what of the prompts had no effect.
        calls: what was asked of the model.
        attempts: seeds that were tried before, and the one that is kept where it is flat or frozen as well.
        windows: of a long clip, how each was made.
        ended: of a long clip, why it ends before its time; None where it does not.
        seconds: spent per stage.
        kept: of each modality that was given whole, how it got into the file: copied, or encoded and why.
        snaps: times of what was given that the grid of latents moved.
    """

    path: str
    metadata: Mapping[str, object]
    num_frames: int
    frame_rate: float
    height: int
    width: int
    sample_rate: int
    duration_s: float
    cut_prompts: tuple[CutPrompt, ...]
    calls: CallCount
    seconds: Mapping[str, float]
    attempts: tuple[Attempt, ...] = ()
    windows: tuple[Mapping[str, object], ...] = ()
    ended: str | None = None
    kept: Mapping[str, str] = field(default_factory=dict)
    snaps: Sequence[Mapping[str, object]] = ()

    def to_json(self) -> str:
        """Return one line of JSON; of ASCII letters, which every encoding has."""
        return json.dumps(asdict(self))

    def summary(self) -> str:
        """Return one line for people."""
        parts = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in self.seconds.items())
        calls = self.calls
        spared = f" of {calls.planned} planned" if calls.predictions < calls.planned else ""
        repeated = f", {calls.repeated} of them mostly repeated" if calls.repeated else ""
        what = f"audio of {self.duration_s:.2f} s"
        if self.num_frames:
            sound = "with audio" if self.sample_rate else "without audio"
            what = f"{self.num_frames} frames of {self.width}x{self.height} ({self.duration_s:.2f} s) {sound}"
        kept = "".join(f"; the {name} given was {how}" for name, how in self.kept.items())
        seconds = f"{sum(self.seconds.values()):.1f} s ({parts})"
        return f"{what} in {seconds}; {calls.predictions} predictions{spared}{repeated}{kept}"


@dataclass(frozen=True)
class KeptFile:
    """A clip that was there already, made as it was asked for.

    Attributes:
        path: of the file.
        metadata: what the file says of its origin.
        skipped: true.
    """

    path: str
    metadata: Mapping[str, object]
    skipped: bool = True

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(asdict(self))


def make_request(
    model: str,
    asked: ClipOptions,
    *,
    folder: Path | None = None,
    loras: Sequence[LoraChoice] = (),
    speed: str = "exact",
) -> tuple[Path, GenerateRequest]:
    """Find the model and complete what was not given (None) with its recommendations; loads no weights.

    Args:
        model: shipped name, directory or hub id.
        asked: of the clip.
        folder: the model's directory where it has been found already.
        loras: what to adapt the model with.
        speed: preset of `mova.settings.speed`; what is given counts all the same.

    Returns:
        The model's directory and the request.

    Raises:
        MovaError: a value that cannot be used, or a model that is not there.
    """
    folder = folder or find_model(model)
    defaults = read_defaults(folder, model)
    if speed == DISTILLED:
        few_steps = find_few_steps(model, folder)
        defaults = with_recommended(defaults, read_recommended(few_steps), few_steps.name)
        loras = (LoraChoice(few_steps), *loras)
    files, retakes = asked.files, asked.retakes or ()
    if retakes and files.audio is None:
        files = replace(files, audio=files.video)
    retaken = {name for retake in retakes for name in MODALITIES if retake.modality in (None, name)}
    settings = SamplingSettings.for_model(
        defaults,
        dims_from_directory(folder).codec,
        asked.settings,
        speed=speed,
        hold_video=files.video is not None and "video" not in retaken,
        hold_audio=files.audio is not None and "audio" not in retaken,
    )
    return folder, GenerateRequest(
        prompt=asked.prompt or "",
        negative_prompt=defaults.negative_prompt if asked.negative_prompt is None else asked.negative_prompt,
        seed=asked.seed or 0,
        index=asked.index or 0,
        start_s=asked.start_s or 0.0,
        retries=RETRIES if asked.retries is None else asked.retries,
        long=asked.long,
        settings=settings,
        # A path says nothing on another machine; a name does.
        model=folder.resolve().name if Path(model).is_dir() else model,
        loras=tuple(loras),
        keyframes=asked.keyframes or (),
        retakes=retakes,
        outputs=parse_only(asked.only),
        fit=check_fit(asked.fit or "crop"),
        enhancement=asked.enhancement,
        **files.given(),
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
    """Generate one clip and write it, with its origin in the file's metadata; a file of that name is replaced.

    Args:
        request: checked.
        folder: the model's directory.
        output: an .mp4 file; appears only when it is complete.
        processes: how this process shares the work with others, all of which make this call; rank 0 writes.
        runtime: memory, quantisation and kernels.
        on_progress: told about each stage.

    Raises:
        MovaError: an output that cannot be written or an input that cannot be read (before weights are loaded), weights
            that do not fit, latents that are not finite.
    """
    job = Job(request, output)
    (made,) = generate_files([job], folder, processes=processes, runtime=runtime, on_progress=on_progress)
    assert isinstance(made, GeneratedFile), "a single clip is always made"
    return made


def generate_files(
    jobs: Sequence[Job],
    folder: Path,
    *,
    processes: Processes | None = None,
    runtime: Runtime | None = None,
    keeps: bool = False,
    loading: Loading = nullcontext,
    on_progress: OnProgress = lambda *_: None,
    on_clip: Callable[[GeneratedFile | KeptFile], None] = lambda _: None,
    on_note: Callable[[str], None] = logger.info,
) -> list[GeneratedFile | KeptFile]:
    """Generate clips one after the other with a model that is loaded once.

    Args:
        jobs: what to make; all with the same LoRAs.
        folder: the model's directory.
        processes, runtime, on_progress: as for `generate_file`.
        keeps: leave files alone that hold the clip that is asked for, and refuse to replace others.
        loading: surroundings in which the model is loaded.
        on_clip: called with each clip when its file is there.
        on_note: told in words what of the given media is used.

    Raises:
        MovaError: as for `generate_file`; with `keeps` also a file in the way that holds something else. All inputs and
            outputs of all clips are checked before weights are loaded.
    """
    from mova.generate.media_files import InputReader

    runtime = runtime or Runtime()
    clock = Clock(on_progress)
    clock.begin(LOADING)
    targets = _targets(jobs)
    inputs = InputReader(on_note)
    for job in jobs:
        if not (keeps and job.output.exists()):
            inputs.read(job.request)
    for line in dict.fromkeys(str(snap) for job in jobs for snap in job.request.placed().snaps):
        on_note(line)
    from mova.weights.fingerprint import weights_hash

    fingerprint = weights_hash(folder)
    plans = [_plan(job.request, fingerprint, processes, on_note) for job in jobs]
    records = [describe(job.request, folder, runtime=runtime, weights_sha256=fingerprint) for job in jobs]
    kept = [keeps and _is_there(job, record, runtime.precision) for job, record in zip(jobs, records, strict=True)]
    largest = max(jobs, key=lambda job: job.request.settings.geometry.num_video_tokens)
    work = sum(token_forwards(job.request.settings) for job, is_kept in zip(jobs, kept, strict=True) if not is_kept)
    runtime = replace(runtime, token_forwards=work)
    session = Session(folder, largest.request.settings.geometry, processes, runtime, loading)
    made: list[GeneratedFile | KeptFile] = []
    for job, plan, target, record, is_kept in zip(jobs, plans, targets, records, kept, strict=True):
        if is_kept:
            made.append(KeptFile(str(job.output), record))
        elif plan is not None:
            made.append(_make_long(job, plan, target, record, inputs.read(job.request), session, clock, on_note))
            clock = Clock(on_progress)
        else:
            made.append(_make(job, target, record, inputs.read(job.request), session, clock, on_note))
            clock = Clock(on_progress)
        on_clip(made[-1])
    return made


def _make(
    job: Job,
    target: Path,
    record: dict[str, object],
    inputs: MediaArrays,
    session: Session,
    clock: Clock,
    on_note: Callable[[str], None],
) -> GeneratedFile:
    from mova.generate.written import write_result

    made = make_until_sound(session, job.request, inputs, clock, on_note)
    clock.begin(WRITING)
    metadata = record | made.record(job.request) | session.circumstances()

    def write() -> GeneratedFile:
        calls = made.result.calls
        assert calls is not None, "the pipeline counts its calls"
        written = write_result(target, job.request, made.result, metadata, clip=made.clip)
        return GeneratedFile(
            path=str(job.output),
            metadata=written.metadata,
            num_frames=written.num_frames,
            frame_rate=written.frame_rate,
            height=written.height,
            width=written.width,
            sample_rate=written.sample_rate,
            duration_s=written.duration_s,
            cut_prompts=made.result.cut_prompts,
            calls=calls,
            seconds=clock.end(),
            attempts=made.attempts,
            kept=written.kept,
            snaps=[snap.record() for snap in made.result.snaps],
        )

    file: GeneratedFile = made.pipeline.parallel.broadcast(write)
    return file


def _plan(
    request: GenerateRequest, weights_sha256: str, processes: Processes | None, on_note: Callable[[str], None]
) -> LongPlan | None:
    """Check a long clip and plan its windows; None for a clip that is none."""
    if request.long is None:
        return None
    from mova.generate.long.plan import plan_long

    if processes is not None:
        raise ConfigError(f"a long clip is made by one process, got {processes.number}; leave out --gpus")
    return plan_long(request, request.model, weights_sha256, on_note)


def _make_long(
    job: Job,
    plan: LongPlan,
    target: Path,
    record: dict[str, object],
    inputs: MediaArrays,
    session: Session,
    clock: Clock,
    on_note: Callable[[str], None],
) -> GeneratedFile:
    from mova.generate.long.make import make_long

    made = make_long(job.request, plan, record, target, inputs, session, clock, on_note)
    clip = plan.windows.clip
    return GeneratedFile(
        path=str(job.output),
        metadata=made.metadata,
        num_frames=made.num_frames,
        frame_rate=clip.frame_rate,
        height=clip.height,
        width=clip.width,
        sample_rate=clip.codec.sample_rate,
        duration_s=made.num_frames / clip.frame_rate,
        cut_prompts=made.cut_prompts,
        calls=made.calls,
        seconds=clock.end(),
        windows=made.windows,
        ended=made.ended,
        kept=made.kept,
    )


def _targets(jobs: Sequence[Job]) -> list[Path]:
    """Check that every file can be written; return them as absolute paths."""
    from mova.generate.written import suffixes_for
    from mova.media.write import check_writable, remove_stale

    targets = [check_writable(job.output, suffixes_for(job.request.outputs)) for job in jobs]
    for directory in {target.parent for target in targets}:
        remove_stale(directory)
    return targets


def _is_there(job: Job, record: Mapping[str, object], precision: str | None) -> bool:
    """Say whether a file holds the clip already, of a precision that was asked for by name.

    Raises:
        MuxError: it holds something else.
    """
    from mova.media.write import read_metadata

    if not job.output.exists():
        return False
    try:
        present = read_metadata(job.output)
    except ReadError:
        present = {}
    # As it comes back from a file, where tuples are lists.
    if present and is_same_clip(present, json.loads(json.dumps(record))):
        found = recorded_precision(present, f"metadata of {job.output}")
        if precision in (None, "auto", found):
            return True
    raise MuxError(
        f"output must be files that are not there yet, or that hold the clips asked for, got {job.output}, which holds "
        "another; choose another --output"
    )
