"""What is found out about a source before windows are planned; these functions run in a guarded child."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from mova.curate.cut.speech import SAMPLE_RATE, SpanS, SpeechRules, find_speech
from mova.curate.cut.transnet import TransnetShots
from mova.curate.cut.windows import Footage, Ticks
from mova.curate.records import State
from mova.errors import ReadError
from mova.files.part import FilePart
from mova.media import media_file
from mova.media.measures.shots import AdaptiveShots, ShotFinder
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
        parts: pieces of a source that was joined of several; empty where it is one.
        left_out: for each piece why it is left out; "" where it goes on.
    """

    state: State
    reason: str = ""
    duration_s: float = 0.0
    has_audio: bool = False
    marks: tuple[str, ...] = ()
    parts: tuple[FilePart, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Piece:
    """Footage of one clock.

    Attributes:
        path: of the source, or the part of it that it is.
        number: of the pieces of its source, from 1.
        begin: tick of the source's clock at which it begins.
        shift: ticks from its own clock to the source's.
        box: content without black borders, in stored pixels; None where there are none.
    """

    path: str | os.PathLike[str]
    number: int
    begin: int
    shift: int
    box: Box | None


@dataclass(frozen=True)
class Surveyed:
    """What looking at all of a source told; times are ticks of its video's clock.

    The clock of a joined source is that of its first piece; each other piece begins where the one before ends.

    Attributes:
        reason: why it cannot be used; "" where it can.
        tick: seconds of a tick.
        footage: for the planner.
        pieces: in order; one, unless the source was joined of several.
        left_out: reasons why pieces of it are not used.
    """

    reason: str = ""
    tick: Fraction = Fraction(1)
    footage: Footage = field(default_factory=lambda: Footage((), ()))
    pieces: tuple[Piece, ...] = ()
    left_out: tuple[str, ...] = ()

    def piece_at(self, time: int) -> Piece:
        """Return the piece that a time lies in."""
        return self.pieces[max(0, bisect_right([piece.begin for piece in self.pieces], time) - 1)]


def inspect_source(path: str | os.PathLike[str], wanted: Wanted) -> Inspected:
    """Read all packets of a source and decode both ends: what is broken, silent or too short goes no further.

    A source that was joined of several is inspected piece by piece, and goes on if one of them does.
    """
    try:
        found = check_integrity(path)
    except ReadError as error:
        return Inspected(State.FAILED, f"corrupt_media: {error}")
    if found.parts:
        return _joined(found.parts, wanted)
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


def _joined(parts: tuple[FilePart, ...], wanted: Wanted) -> Inspected:
    each = [inspect_source(part, wanted) for part in parts]
    good = [one for one in each if one.state is State.KEPT]
    found = good[0] if good else each[0]
    return replace(
        found,
        duration_s=sum(one.duration_s for one in each),
        has_audio=any(one.has_audio for one in good),
        parts=parts,
        left_out=tuple(one.reason for one in each),
    )


def survey_source(path: str | os.PathLike[str], wanted: Wanted, inspected: Inspected | None = None) -> Surveyed:
    """Decode all of a source once: its frames' times, gaps, borders, shots and speech.

    Args:
        path: of the source.
        wanted: how it is looked at.
        inspected: what is known of it, its pieces above all.

    Raises:
        MissingExtraError: what finds shots or speech is not installed.
    """
    media_file.use_threads(wanted.threads)
    if inspected is None or not inspected.parts:
        return _survey(path, wanted)
    known = enumerate(zip(inspected.parts, inspected.left_out, strict=True), 1)
    each = {number: Surveyed(reason) if reason else _survey(part, wanted) for number, (part, reason) in known}
    left_out = tuple(f"piece {number} of {len(each)}: {one.reason}" for number, one in each.items() if one.reason)
    good = {number: one for number, one in each.items() if not one.reason}
    return replace(_end_to_end(good), left_out=left_out) if good else Surveyed(each[1].reason)


def _end_to_end(each: Mapping[int, Surveyed]) -> Surveyed:
    """Lay pieces, by their numbers, on one clock."""
    frames, pieces = array("q"), []
    parts: list[Ticks] = []
    cuts: list[int] = []
    speech: list[Ticks] = []
    tick = next(iter(each.values())).tick
    for number, one in each.items():
        found = one.footage
        begin, end = found.parts[0][0], found.parts[-1][1]
        shift = parts[-1][1] - begin if parts else 0
        pieces.append(replace(one.pieces[0], number=number, begin=begin + shift, shift=shift))
        frames.extend(time + shift for time in found.frames)
        parts += [(first + shift, last + shift) for first, last in found.parts]
        cuts += [cut + shift for cut in found.cuts]
        # Speech is told with some margin, which may reach into another piece.
        inside = ((max(first, begin), min(last, end)) for first, last in found.speech)
        speech += [(first + shift, last + shift) for first, last in inside if first < last]
    return Surveyed("", tick, Footage(frames, tuple(parts), tuple(cuts), tuple(speech)), tuple(pieces))


def _survey(path: str | os.PathLike[str], wanted: Wanted) -> Surveyed:
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
    return Surveyed("", video.tick, footage, (Piece(path, 1, video.parts[0][0], 0, video.box),))


def _finder(wanted: Wanted) -> ShotFinder | None:
    if wanted.shots == "adaptive":
        return AdaptiveShots(wanted.shot_threshold, wanted.min_shot_frames)
    return TransnetShots(wanted.min_shot_frames) if wanted.shots == "transnet" else None


def _ticks(span: SpanS, video: VideoSurvey) -> Ticks:
    return round(span[0] / video.tick), round(span[1] / video.tick)
