"""Clips that collapsed, made again with another seed, as often as is allowed; what happened stands in the result."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from mova.errors import NumericalError, StateError
from mova.files.json_file import as_fields, parse_json
from mova.settings.seeds import derived_seed

if TYPE_CHECKING:
    from mova.generate.media_files import MediaArrays
    from mova.generate.request import GenerateRequest
    from mova.generate.session import Clock, Session
    from mova.pipeline.loop.control import Control
    from mova.pipeline.output import MovaPipelineOutput
    from mova.pipeline.pipeline import MovaPipeline
    from mova.types import Clip

NOT_FINITE: Final = "not finite"
# How a state begins that was kept after other seeds had been tried; a state alone begins with its length.
_HEAD: Final = b'{"tried":'


@dataclass(frozen=True)
class Attempt:
    """A seed that did not lead to a clip.

    Attributes:
        seed: that was tried.
        found: what was wrong: "flat", "frozen" or "not finite".
        words: the same, with what was measured.
    """

    seed: int
    found: str
    words: str


@dataclass(frozen=True, eq=False)
class Made:
    """A clip, and what was made before it.

    Attributes:
        pipeline: that made it.
        result: of the call.
        clip: the clip as media, on rank 0; None on the others, and where audio alone was asked for.
        seed: that it was made with.
        attempts: seeds that were tried before, and this one where it is kept although something is wrong.
        place: of the clip in the result.
    """

    pipeline: MovaPipeline
    result: MovaPipelineOutput
    clip: Clip | None
    seed: int
    attempts: tuple[Attempt, ...]
    place: int = 0

    def record(self, request: GenerateRequest) -> dict[str, object]:
        """Return what the clip's file says of it: nothing where the first seed was good."""
        return record_of(self.attempts, request.seed, self.seed)


def another_seed(seed: int, attempt: int) -> int:
    """Return the seed of an attempt: that one at first, then others that follow from it."""
    return derived_seed(seed, "again", attempt) if attempt else seed


def record_of(attempts: Sequence[Attempt], asked_seed: int, seed: int) -> dict[str, object]:
    """Return what a file says of attempts: the seed that its clip was made with, the one asked for, and why."""
    if not attempts:
        return {}
    return {"seed": seed, "asked_seed": asked_seed, "collapse": [asdict(one) for one in attempts]}


def make_until_sound(
    session: Session,
    request: GenerateRequest,
    inputs: MediaArrays,
    clock: Clock,
    on_note: Callable[[str], None],
    *,
    control: Control | None = None,
    tried: Sequence[Attempt] = (),
) -> Made:
    """Make a clip; with other seeds again while it is flat, frozen or not finite, `request.retries` times at most.

    A video that is given is not looked at.

    Args:
        session: that makes clips.
        request, inputs, clock: as of `Session.generate`.
        on_note: told in words what was wrong and what is done.
        control: as of `Session.generate`, of every seed; a state that it keeps also says which seeds were tried before.
        tried: attempts of this request that are over, fewer than may be made.

    Raises:
        NumericalError: no seed gave finite numbers.
        StateError: the control's state is of another run.
        StoppedError: the control asked for it.
    """
    attempts = list(tried)
    if control is not None and control.resume_from is not None:
        attempts, state = _resumed(control.resume_from, request, attempts)
        control = replace(control, resume_from=state)
    for number in range(len(attempts), request.retries + 1):
        seed = another_seed(request.seed, number)
        is_last = number == request.retries
        own, control = _keeping(control, attempts), None if control is None else replace(control, resume_from=None)
        try:
            pipeline, result = session.generate(replace(request, seed=seed), inputs, clock, control=own)
        except NumericalError as error:
            attempts.append(Attempt(seed, NOT_FINITE, str(error)))
            if is_last:
                raise
            on_note(f"seed {seed} gave numbers that are not finite; made again with another")
            continue
        clip = result.clip() if pipeline.parallel.is_main and "video" in request.outputs else None
        collapse = pipeline.parallel.broadcast(partial(_look, clip, request, seed))
        if collapse is not None:
            attempts.append(collapse)
            on_note(_said(collapse, is_last=is_last, tried=number + 1))
        if collapse is None or is_last:
            return Made(pipeline, result, clip, seed, tuple(attempts))
    raise AssertionError("the last attempt returns or raises")


def make_batch_until_sound(
    session: Session,
    requests: Sequence[GenerateRequest],
    inputs: Sequence[MediaArrays],
    clock: Clock,
    on_note: Callable[[int, str], None],
    control_of: Callable[[Sequence[int]], Control],
) -> list[Made]:
    """Make clips in one forward each step; what is flat or frozen among them is made again alone, with other seeds.

    Args:
        session: that makes clips.
        requests, inputs, clock: as of `Session.generate_batch`.
        on_note: told the place of a request, and in words what was wrong and what is done.
        control_of: returns the control of a run that makes the requests at some places; it keeps no state.

    Raises:
        NumericalError: a clip is not finite; which one is not known where they were made together.
        StoppedError: a control asked for it.
    """
    control = control_of(range(len(requests)))
    pipeline, result = session.generate_batch(requests, inputs, clock, together=True, control=control)
    made = []
    for place, (request, media) in enumerate(zip(requests, inputs, strict=True)):
        note = partial(on_note, place)
        clip = result.clip(place) if "video" in request.outputs else None
        collapse = _look(clip, request, request.seed)
        tried = () if collapse is None else (collapse,)
        if collapse is not None:
            note(_said(collapse, is_last=not request.retries, tried=1))
        if collapse is None or not request.retries:
            made.append(Made(pipeline, result, clip, request.seed, tried, place))
        else:
            made.append(
                make_until_sound(session, request, media, clock, note, control=control_of([place]), tried=tried)
            )
    return made


def _keeping(control: Control | None, attempts: Sequence[Attempt]) -> Control | None:
    """Return a control whose states say what was tried before."""
    if control is None or control.save_state is None or not attempts:
        return control
    head, save = json.dumps({"tried": [asdict(one) for one in attempts]}).encode() + b"\n", control.save_state
    return replace(control, save_state=lambda state: save(head + state))


def _resumed(kept: bytes, request: GenerateRequest, tried: Sequence[Attempt]) -> tuple[list[Attempt], bytes]:
    """Return what had been tried when a state was kept, and the state of the run that followed.

    Raises:
        StateError: other seeds were tried than this request tries.
    """
    if not kept.startswith(_HEAD):
        return list(tried), kept
    head, _, state = kept.partition(b"\n")
    where = "seeds of a state"
    listed = as_fields(parse_json(head, where, error=StateError), where, error=StateError).list("tried")
    records = [as_fields(one, where, error=StateError) for one in listed]
    found = [Attempt(one.integer("seed"), one.text("found"), one.text("words")) for one in records]
    seeds = [another_seed(request.seed, number) for number in range(request.retries)]
    if [one.seed for one in found] != seeds[: len(found)]:
        raise StateError(f"{where} must be those that this request tries, got others; leave it out to start anew")
    return found, state


def _look(clip: Clip | None, request: GenerateRequest, seed: int) -> Attempt | None:
    from mova.media.measures.collapse import find_collapse

    if clip is None or request.video is not None:
        return None
    found = find_collapse(clip.frames)
    return None if found is None else Attempt(seed, found.kind, str(found))


def _said(attempt: Attempt, *, is_last: bool, tried: int) -> str:
    if not is_last:
        return f"seed {attempt.seed} gave a video that is {attempt.words}; made again with another seed"
    seeds = "its seed" if tried == 1 else f"the last of {tried} seeds"
    return (
        f"the video is {attempt.words}; {seeds} is kept; nearest is another prompt, an --image, or the other "
        "--null-image"
    )
