"""Clips that collapsed, made again with another seed, as often as is allowed; what happened stands in the result."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from mova.errors import NumericalError

if TYPE_CHECKING:
    from mova.generate.media_files import MediaArrays
    from mova.generate.request import GenerateRequest
    from mova.generate.session import Clock, Session
    from mova.pipeline.output import MovaPipelineOutput
    from mova.pipeline.pipeline import MovaPipeline
    from mova.types import Clip

NOT_FINITE: Final = "not finite"
_MOST_SEED: Final = 2**53
"""Other programs read numbers of JSON as floating point, which holds whole numbers up to here."""


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
    """

    pipeline: MovaPipeline
    result: MovaPipelineOutput
    clip: Clip | None
    seed: int
    attempts: tuple[Attempt, ...]

    def record(self, request: GenerateRequest) -> dict[str, object]:
        """Return what the clip's file says of it: nothing where the first seed was good."""
        return record_of(self.attempts, request.seed, self.seed)


def another_seed(seed: int, attempt: int) -> int:
    """Return the seed of an attempt: that one at first, then others that follow from it."""
    if not attempt:
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed}/again/{attempt}".encode()).digest()[:8]) % _MOST_SEED


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
) -> Made:
    """Make a clip; with other seeds again while it is flat, frozen or not finite, `request.retries` times at most.

    A video that is given is not looked at.

    Args:
        session: that makes clips.
        request, inputs, clock: as of `Session.generate`.
        on_note: told in words what was wrong and what is done.

    Raises:
        NumericalError: no seed gave finite numbers.
    """
    attempts: list[Attempt] = []
    for number in range(request.retries + 1):
        seed = another_seed(request.seed, number)
        is_last = number == request.retries
        try:
            pipeline, result = session.generate(replace(request, seed=seed), inputs, clock)
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
