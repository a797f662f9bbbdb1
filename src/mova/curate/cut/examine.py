"""What is found out about a source before windows are planned; these functions run in a guarded child."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from mova.curate.cut.shots import AdaptiveShots, ShotFinder
from mova.curate.cut.speech import SAMPLE_RATE, SpanS, SpeechRules, find_speech
from mova.curate.cut.transnet import TransnetShots
from mova.curate.cut.windows import Footage, Ticks
from mova.curate.records import State
from mova.errors import ReadError
from mova.media import media_file
from mova.media.transcode.canvas import Box
from mova.media.transcode.integrity import check_integrity
from mova.media.transcode.listen import listen
from mova.media.transcode.survey import VideoSurvey, survey_video


@dataclass(frozen=True)
class Wanted:
    """What a source must be, and how it is looked at.

    Attributes:
        least_s: shorter video is left out.
        needs_audio: whether a source without audio is left out.
        shots: "adaptive", "transnet" or "none".
        shot_threshold, min_shot_frames: of the shot finder.
        speech: rules for speech; None looks for none.
        borders: whether black borders are looked for.
        threads: of the decoder.
    """

    least_s: float
    needs_audio: bool = True
    shots: str = "adaptive"
    shot_threshold: float = 3.0
    min_shot_frames: int = 12
    speech: SpeechRules | None = field(default_factory=SpeechRules)
    borders: bool = True
    threads: int = 1


@dataclass(frozen=True)
class Inspected:
    """What reading all packets of a source told.

    Attributes:
        state: KEPT where it goes on.
        reason: why it does not; "" where it does.
        duration_s: of its video.
        has_audio: whether there is any.
        marks: what users should know of its clips.
    """

    state: State
    reason: str = ""
    duration_s: float = 0.0
    has_audio: bool = False
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Surveyed:
    """What looking at all of a source told; times are ticks of its video's clock.

    Attributes:
        reason: why it cannot be used; "" where it can.
        tick: seconds of a tick.
        footage: for the planner.
        box: content without black borders, in stored pixels; None where there are none.
    """

    reason: str = ""
    tick: Fraction = Fraction(1)
    footage: Footage = field(default_factory=lambda: Footage((), ()))
    box: Box | None = None


def inspect_source(path: Path, wanted: Wanted) -> Inspected:
    """Read all packets of a source and decode both ends: what is broken, silent or too short goes no further."""
    try:
        found = check_integrity(path)
    except ReadError as error:
        return Inspected(State.FAILED, f"corrupt_media: {error}")
    if found.video is None:
        return Inspected(State.REJECTED, "no_video: the file has no video stream")
    duration_s = found.video.duration_s
    has_audio = found.audio is not None and found.audio.num_packets > 0
    if wanted.needs_audio and not has_audio:
        return Inspected(State.REJECTED, "no_audio: the file has no audio", duration_s)
    if duration_s < wanted.least_s:
        short = f"too_short: {duration_s:.3f} s of video, and a clip has {wanted.least_s:.3f} s"
        return Inspected(State.REJECTED, short, duration_s, has_audio)
    marks: tuple[str, ...] = ()
    if found.num_audio > 1:
        marks = (f"audio_stream: one of {found.num_audio}{f', {found.language}' if found.language else ''}",)
    return Inspected(State.KEPT, "", duration_s, has_audio, marks)


def survey_source(path: Path, wanted: Wanted) -> Surveyed:
    """Decode all of a source once: its frames' times, gaps, borders, shots and speech.

    Raises:
        MissingExtraError: what finds shots or speech is not installed.
    """
    media_file.use_threads(wanted.threads)
    finder = _finder(wanted)
    try:
        video = survey_video(
            path,
            None if finder is None else finder.width,
            None if finder is None else finder.add,
            borders=wanted.borders,
        )
        spans = [] if wanted.speech is None else find_speech(listen(path, SAMPLE_RATE), wanted.speech)
    except ReadError as error:
        return Surveyed(f"corrupt_media: {error}")
    # A shot does not begin where footage is missing: a part does.
    begins = {begin for begin, _ in video.parts}
    cuts = [] if finder is None else [int(video.frames[index]) for index in finder.cuts()]
    speech = tuple(_ticks(span, video) for span in spans)
    footage = Footage(video.frames, video.parts, tuple(cut for cut in cuts if cut not in begins), speech)
    return Surveyed("", video.tick, footage, video.box)


def _finder(wanted: Wanted) -> ShotFinder | None:
    if wanted.shots == "adaptive":
        return AdaptiveShots(wanted.shot_threshold, wanted.min_shot_frames)
    return TransnetShots(wanted.min_shot_frames) if wanted.shots == "transnet" else None


def _ticks(span: SpanS, video: VideoSurvey) -> Ticks:
    return round(span[0] / video.tick), round(span[1] / video.tick)
