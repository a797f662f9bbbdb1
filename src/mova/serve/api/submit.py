"""From fields to jobs: checked, kept and on the disk before anybody is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from mova.conditioning.windows import METHODS
from mova.serve.access.gate import Caller
from mova.serve.api.services import Services
from mova.serve.faults import FieldError
from mova.serve.intake.forms import Asked
from mova.serve.intake.intake import Taken, orders_of
from mova.serve.jobs.records import KEYFRAMES, ClipOrder, Job
from mova.web.calls import aside

_LENGTH: Final = "num_frames"


@dataclass(frozen=True)
class Origin:
    """What a request comes from.

    Attributes:
        key: under which it may come again; "" for none.
        digest: what tells whether it is the same.
        remixed_from: id of the job that it changes, or "".
        kept: inputs of that job.
    """

    key: str = ""
    digest: str = ""
    remixed_from: str = ""
    kept: Mapping[str, str] | None = None


async def submit(services: Services, caller: Caller, asked: Asked, origin: Origin) -> tuple[list[Job], list[str]]:
    """Queue what is asked for.

    Args:
        services: parts of the server.
        caller: who asks.
        asked: fields of the request.
        origin: what it comes from.

    Returns:
        The jobs of the variants, and what the model was not trained for.

    Raises:
        MovaError: a value, a file or a quota that does not fit; nothing of the request is left.
    """
    store = services.store
    if origin.key:
        known = await aside(store.with_key, caller.owner, origin.key, origin.digest)
        if known is not None:
            return known, []
    await check_content(services, asked)
    await aside(services.quotas.check_room, caller, asked.num_variants)
    taken = await services.intake.take(asked, caller.sees, origin.kept)
    jobs = await aside(_add, services, caller, asked, origin, taken)
    services.wake()
    services.metrics.accepted(len(jobs))
    return jobs, list(taken.warnings)


async def check_content(services: Services, asked: Asked) -> None:
    """Refuse texts that the content filter does not let pass.

    Raises:
        FieldError: with the reason of the filter.
    """
    later = [text for _, text in asked.prompts_at or ()]
    reason = await aside(services.content.prompt, asked.prompt, asked.negative_prompt, *later)
    if reason is not None:
        raise FieldError(
            f"prompt must pass the content filter of this server: {reason}", "prompt", code="content_policy"
        )


def over(asked: Asked, order: ClipOrder) -> Asked:
    """Return fields over those of an order that they change; without a seed it keeps its own.

    Args:
        asked: what is to be other.
        order: what is changed.
    """
    settings = {**order.settings, **asked.settings}
    if asked.seconds is not None and _LENGTH not in asked.settings:
        settings.pop(_LENGTH, None)
    long = order.long or {}
    has_length = asked.seconds is not None or _LENGTH in asked.settings
    keeps_images = asked.keyframes is None
    gone = {} if keeps_images else {name: None for name in KEYFRAMES if name in order.inputs}
    keeps_text = asked.prompt in (None, order.prompt)
    return replace(
        asked,
        prompt=order.prompt if asked.prompt is None else asked.prompt,
        negative_prompt=order.negative_prompt if asked.negative_prompt is None else asked.negative_prompt,
        seed=order.seed if asked.seed is None else asked.seed,
        settings=settings,
        speed=order.speed if asked.speed is None else asked.speed,
        start_s=order.start_s if asked.start_s is None else asked.start_s,
        enhancement=order.enhancement if asked.enhancement is None and keeps_text else asked.enhancement,
        retakes=order.retakes if asked.retakes is None else asked.retakes,
        only=order.only if asked.only is None else asked.only,
        fit=order.fit if asked.fit is None else asked.fit,
        retries=order.retries if asked.retries is None else asked.retries,
        keyframes=order.keyframes if keeps_images else asked.keyframes,
        media={**gone, **asked.media},
        seconds=asked.seconds if has_length else long.get("length_s"),
        # What was not chosen stays unchosen: a clip that becomes short enough is made at once.
        windows=_chosen(long) if asked.windows is None else asked.windows,
        overlap_s=long.get("overlap_s") if asked.overlap_s is None else asked.overlap_s,
        prompts_at=_prompts(long) if asked.prompts_at is None else asked.prompts_at,
    )


def _chosen(long: Mapping[str, Any]) -> str | None:
    return None if long.get("method") == METHODS[0] else long.get("method")


def _prompts(long: Mapping[str, Any]) -> tuple[tuple[float, str], ...]:
    return tuple((float(time), str(text)) for time, text in long.get("prompts_at", ()))


def _add(services: Services, caller: Caller, asked: Asked, origin: Origin, taken: Taken) -> list[Job]:
    store, quotas = services.store, services.quotas
    orders = orders_of(taken)
    spent = ""
    try:
        spent = quotas.spend(caller, taken.new_s * len(orders))
        jobs = store.add(
            orders,
            caller.owner,
            key=origin.key,
            body_sha256=origin.digest,
            remixed_from=origin.remixed_from,
            is_held=asked.is_held,
            # Counted again with the row: others of this key may have come in between.
            most_own=caller.most_open,
        )
    except BaseException:
        quotas.refund(spent)
        services.intake.discard(taken)
        raise
    if taken.made and jobs[0].order.inputs != dict(taken.inputs):
        # The same request came twice at a time, and the other one was first.
        quotas.refund(spent)
        services.intake.discard(taken)
    elif gone := [name for name, file in taken.inputs.items() if not services.artifacts.exists(file)]:
        # The job that had them was removed in between.
        for job in jobs:
            store.doom(job.id)
        quotas.refund(spent)
        raise FieldError(f"{gone[0]} must still be there, and is not", gone[0], code="input_gone")
    return jobs
