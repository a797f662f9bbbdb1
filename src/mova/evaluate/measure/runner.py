"""Measure clips: what is known is taken from the store, the rest is found and kept at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mova.errors import ConfigError
from mova.evaluate.clips.item import ClipItem
from mova.evaluate.measure.calls import shared_calls
from mova.evaluate.measure.plan import MeasurePlan, file_digest
from mova.evaluate.measure.processes import Job, ScoringProcesses
from mova.evaluate.measure.store import ScoreStore
from mova.scorers.base import Absence, Findings, all_absent

NO_FILE = "there is no clip for this prompt"
"""Reason of every measure of an item without a file."""


@dataclass(frozen=True)
class Measured:
    """A clip with what was found in it.

    Attributes:
        item: the clip.
        findings: by the name of the scorer.
    """

    item: ClipItem
    findings: Mapping[str, Findings]


def measure(
    items: Sequence[ClipItem],
    plan: MeasurePlan,
    store: ScoreStore,
    *,
    workers: int = 1,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> tuple[Measured, ...]:
    """Return every clip with its findings, in their order.

    Args:
        items: clips.
        plan: scorers.
        store: of what is known; each finding is added when it is there.
        workers: number of processes, 1 to 64; 1 scores in this one.
        on_progress: told how many pairs of clip and scorer are done, of how many; may raise to end the work.

    Raises:
        ConfigError: the number of workers is out of range.
        OSError: a clip or the store cannot be read or written.
    """
    if not 1 <= workers <= 64:
        raise ConfigError(f"workers must be 1 to 64, got {workers}; nearest is {min(max(workers, 1), 64)}")
    keys = [plan.keys(item, file_digest(item.path)) if item.path is not None else {} for item in items]
    total = sum(len(own) for own in keys)
    done = sum(store.find(key) is not None for own in keys for key in own.values())
    on_progress(done, total)
    with shared_calls(plan.settings) as settings, ScoringProcesses(workers, settings) as processes:
        for found in processes.run(_jobs(items, keys, store)):
            key = keys[found.job.index][found.scorer]
            # Two clips of the same contents share their findings.
            done += store.find(key) is None
            store.add(key, items[found.job.index].id, found.scorer, found.findings)
            on_progress(min(done, total), total)
    on_progress(total, total)
    return tuple(Measured(item, _findings(plan, own, store)) for item, own in zip(items, keys, strict=True))


def _jobs(items: Sequence[ClipItem], keys: Sequence[Mapping[str, str]], store: ScoreStore) -> Iterator[Job]:
    for index, (item, own) in enumerate(zip(items, keys, strict=True)):
        # Asked when the clip's turn comes: one of the same contents may have been scored since.
        missing = tuple(name for name, key in own.items() if store.find(key) is None)
        if item.path is not None and missing:
            yield Job(index, item.path, item.prompt, missing, item.columns)


def _findings(plan: MeasurePlan, keys: Mapping[str, str], store: ScoreStore) -> Mapping[str, Findings]:
    found = {}
    for name, measures in plan.measures.items():
        known = store.find(keys[name]) if name in keys else None
        if known is not None:
            found[name] = known
        elif name in plan.refused:
            found[name] = all_absent(measures, Absence.WEIGHTS, plan.refused[name])
        else:
            found[name] = all_absent(measures, Absence.FAILED, NO_FILE)
    return found
