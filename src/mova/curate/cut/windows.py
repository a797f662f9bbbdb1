"""Where clips are taken from a source: the paper's window rules, as functions of what is known of it.

All times are ticks of the clock of the source's video; a window's length may fall between two ticks. The rules for
speech are those of the paper's algorithms 1 and 2; for footage without speech it states none, and windows lie anywhere
between two segments of speech. Kinds compete for footage in the order in which they are asked for. What is drawn
follows from the source's bytes.

Two things the paper leaves open: a window of several scenes that has no cut is given up and the next segment of speech
is tried; a scene begins and ends some frames away from its cuts, since a cut may be found a frame too late.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from mova.curate.records import WindowKind

Ticks = tuple[int, int]
"""(begin, end) on the clock of the video."""
_STEPS = 1 << 53


@dataclass(frozen=True)
class Footage:
    """What the planner knows of a source.

    Attributes:
        frames: time of each frame, ascending.
        parts: spans of footage without a gap, in order and apart.
        cuts: times of the first frames of shots, in order; the first shot's is not among them.
        speech: segments of speech, in order and apart.
    """

    frames: Sequence[int]
    parts: Sequence[Ticks]
    cuts: Sequence[int] = ()
    speech: Sequence[Ticks] = ()


@dataclass(frozen=True)
class WindowRules:
    """What windows are wanted.

    Attributes:
        length: of a window, in ticks.
        num_frames: frames of a window.
        kinds: kinds that are wanted; earlier ones take footage first.
        guard_frames: frames at each side of a cut that windows of one scene leave alone.
        most: windows of a source at most; None takes all.
    """

    length: Fraction
    num_frames: int
    kinds: tuple[WindowKind, ...] = tuple(WindowKind)
    guard_frames: int = 2
    most: int | None = None


@dataclass(frozen=True)
class Window:
    """A clip to be.

    Attributes:
        kind: which rule placed it.
        start: tick of its beginning, where a frame begins wherever one lies in the range of the draw.
        end: where it ends.
        lower, upper: range that its start was drawn from.
    """

    kind: WindowKind
    start: int
    end: Fraction
    lower: int
    upper: int


def plan_windows(footage: Footage, rules: WindowRules, seed: str) -> tuple[Window, ...]:
    """Place windows in a source; no two of them overlap.

    Args:
        footage: what is known of the source.
        rules: what is wanted.
        seed: the source's digest; the same seed gives the same windows.

    Returns:
        Windows in order of their start.
    """
    taken = _Taken()
    makers: dict[WindowKind, Callable[[_Draft], None]] = {
        WindowKind.SINGLE_SPEECH: _single_speech,
        WindowKind.MULTI_SPEECH: _multi_speech,
        WindowKind.SINGLE_SILENT: _single_silent,
        WindowKind.MULTI_SILENT: _multi_silent,
    }
    for kind in rules.kinds:
        makers[kind](_Draft(footage, rules, kind, taken, random.Random(f"{seed}/{kind}")))
    return tuple(_thinned(taken.windows, rules.most))


def scenes_of(footage: Footage, guard_frames: int = 0) -> list[Ticks]:
    """Return the scenes of a source: spans between cuts within a part, without some frames at each side of a cut."""
    scenes = []
    for begin, end in footage.parts:
        inner = _between(footage.cuts, begin, end)
        for left, right in zip([begin, *inner], [*inner, end], strict=True):
            first = left if left == begin else _moved(footage.frames, left, guard_frames, end)
            last = right if right == end else _moved(footage.frames, right, -guard_frames, begin)
            if first < last:
                scenes.append((first, last))
    return scenes


def _moved(frames: Sequence[int], time: int, count: int, otherwise: int) -> int:
    """Return the time of the frame that lies `count` frames from the one at `time`."""
    place = bisect_left(frames, time) + count
    return int(frames[place]) if 0 <= place < len(frames) else otherwise


@dataclass
class _Taken:
    """Windows so far, in order of their start."""

    windows: list[Window] = field(default_factory=list)
    _starts: list[int] = field(default_factory=list)

    def add(self, window: Window) -> None:
        place = bisect_left(self._starts, window.start)
        self._starts.insert(place, window.start)
        self.windows.insert(place, window)

    def around(self, time: int) -> tuple[Fraction | None, int | None]:
        """Return where the last window that starts by `time` ends, and where the next one starts."""
        place = bisect_right(self._starts, time)
        before = self.windows[place - 1].end if place else None
        return before, self._starts[place] if place < len(self._starts) else None

    def between(self, begin: int, end: int) -> list[Window]:
        """Return the windows that take something of a span."""
        first, behind = bisect_right(self._starts, begin), bisect_left(self._starts, end)
        if first and self.windows[first - 1].end > begin:
            first -= 1
        return self.windows[first:behind]


@dataclass(frozen=True)
class _Draft:
    """The windows of one kind, while they are placed."""

    footage: Footage
    rules: WindowRules
    kind: WindowKind
    taken: _Taken
    dice: random.Random

    @property
    def length(self) -> Fraction:
        return self.rules.length

    @property
    def pitch(self) -> Fraction:
        """Length of a clip's frame."""
        return self.length / self.rules.num_frames

    def place(self, lower: Fraction | int, upper: Fraction | int, *, at: int | None = None) -> Window | None:
        """Return a window that starts in [lower, upper], at `at` if that is given; None where there is no room."""
        bottom, top = math.ceil(lower), math.floor(upper)
        anchor = top if at is None else at
        ended, following = self.taken.around(anchor)
        if ended is not None:
            bottom = max(bottom, math.ceil(ended))
        if following is not None:
            top = min(top, math.floor(following - self.length))
        if bottom > top or (at is not None and not bottom <= at <= top):
            return None
        start = self._draw(bottom, top) if at is None else at
        return Window(self.kind, start, start + self.length, bottom, top)

    def _draw(self, bottom: int, top: int) -> int:
        first, end = bisect_left(self.footage.frames, bottom), bisect_right(self.footage.frames, top)
        if first < end:
            return int(self.footage.frames[self.dice.randrange(first, end)])
        return bottom + (top - bottom) * self.dice.randrange(_STEPS) // (_STEPS - 1)

    def has_cut(self, window: Window) -> bool:
        """Say whether a cut is seen inside a window: there is a frame before it and one after it."""
        place = bisect_left(self.footage.cuts, window.start + self.pitch)
        return place < len(self.footage.cuts) and self.footage.cuts[place] <= window.end - self.pitch


def _previous_end(speech: Sequence[Ticks], index: int) -> int | None:
    return speech[index - 1][1] if index else None


def _speech_window(draft: _Draft, index: int, floor: int) -> Window | None:
    """Return a window for a segment of speech: from half a length before it, but not into what was said before.

    Args:
        draft: of the kind.
        index: of the segment.
        floor: where the part or scene begins, or its last cut before the segment.
    """
    begin = draft.footage.speech[index][0]
    previous = _previous_end(draft.footage.speech, index)
    if previous is None:
        # Where it begins, or where the frame does that is shown then.
        frames = draft.footage.frames
        shown = bisect_right(frames, begin) - 1
        # Where frames are far apart, that one may lie so early that the window ends before anyone speaks.
        is_near = shown >= 0 and frames[shown] >= floor and frames[shown] + draft.length > begin
        at = int(frames[shown]) if is_near else begin
        return draft.place(floor, begin, at=at)
    lower = max(Fraction(previous), Fraction(floor), begin - draft.length / 2)
    return draft.place(lower, begin)


def _single_speech(draft: _Draft) -> None:
    starts = [begin for begin, _ in draft.footage.speech]
    for scene_begin, scene_end in scenes_of(draft.footage, draft.rules.guard_frames):
        index = bisect_right(starts, scene_begin)
        while index < len(starts) and starts[index] + draft.length < scene_end:
            window = _speech_window(draft, index, scene_begin)
            if window is None:
                index += 1
                continue
            draft.taken.add(window)
            if window.end >= scene_end:
                break
            index = max(index + 1, bisect_right(starts, window.end))


def _multi_speech(draft: _Draft) -> None:
    starts = [begin for begin, _ in draft.footage.speech]
    cuts = draft.footage.cuts
    for begin, end in draft.footage.parts:
        index = bisect_left(starts, begin)
        while index < len(starts) and starts[index] + draft.length <= end:
            place = bisect_right(cuts, starts[index])
            floor = max(begin, cuts[place - 1]) if place else begin
            window = _speech_window(draft, index, floor)
            if window is None or not draft.has_cut(window):
                index += 1
                continue
            draft.taken.add(window)
            index = max(index + 1, bisect_right(starts, window.end))


def _single_silent(draft: _Draft) -> None:
    for begin, end in _without(scenes_of(draft.footage, draft.rules.guard_frames), draft.footage.speech):
        for free_begin, free_end in _free(draft.taken, begin, end):
            _fill(draft, free_begin, free_end)


def _fill(draft: _Draft, begin: Fraction | int, end: int) -> None:
    """Put windows in a row into a free span: the first is drawn, the others begin with the next frame."""
    # Between two windows at most a frame of the usual length is left over.
    pitch, cursor = draft.pitch, begin
    for left in range(int((end - begin + pitch) / (draft.length + pitch)), 0, -1):
        latest = end - left * draft.length
        window = None
        if cursor == begin:
            window = draft.place(cursor, latest - (left - 1) * pitch)
        if window is None:
            frames, first = draft.footage.frames, math.ceil(cursor)
            place = bisect_left(frames, first)
            is_near = place < len(frames) and frames[place] <= latest
            window = draft.place(first, latest, at=int(frames[place]) if is_near else first)
        if window is None:
            return
        draft.taken.add(window)
        cursor = window.end


def _multi_silent(draft: _Draft) -> None:
    for begin, end in _without(draft.footage.parts, draft.footage.speech):
        cursor: Fraction | int = begin
        for cut in _between(draft.footage.cuts, begin, end):
            lower = max(Fraction(cursor), cut - draft.length + draft.pitch)
            upper = min(cut - draft.pitch, end - draft.length)
            window = draft.place(lower, upper) if lower <= upper else None
            if window is not None:
                draft.taken.add(window)
                cursor = window.end


def _between(times: Sequence[int], begin: int, end: int) -> Sequence[int]:
    """Return the times strictly between two others."""
    return times[bisect_right(times, begin) : bisect_left(times, end)]


def _without(spans: Sequence[Ticks], holes: Sequence[Ticks]) -> Iterator[Ticks]:
    """Yield what is left of spans without holes; both are in order and apart."""
    ends = [end for _, end in holes]
    for begin, end in spans:
        cursor = begin
        for hole_begin, hole_end in holes[bisect_right(ends, begin) :]:
            if hole_begin >= end:
                break
            if hole_begin > cursor:
                yield cursor, hole_begin
            cursor = max(cursor, hole_end)
        if cursor < end:
            yield cursor, end


def _free(taken: _Taken, begin: int, end: int) -> list[tuple[Fraction | int, int]]:
    """Return what no window takes of a span."""
    free: list[tuple[Fraction | int, int]] = []
    cursor: Fraction | int = begin
    for window in taken.between(begin, end):
        if window.start > cursor:
            free.append((cursor, window.start))
        cursor = max(cursor, window.end)
    if cursor < end:
        free.append((cursor, end))
    return free


def _thinned(windows: list[Window], most: int | None) -> list[Window]:
    """Return at most so many windows, spread over all."""
    if most is None or len(windows) <= most:
        return windows
    return [windows[number * len(windows) // most] for number in range(most)]
