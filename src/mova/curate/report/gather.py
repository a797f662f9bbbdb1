"""From the tables of a run to its report, batch by batch: memory does not grow with the number of clips."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from mova.curate.records import State, WindowKind
from mova.curate.report.data import Example, GateEffect, Reasons, ReportData, RunFacts, Tally
from mova.curate.report.examples import Chosen
from mova.curate.report.spread import Spread

if TYPE_CHECKING:
    from pyarrow import RecordBatch, StructArray

_STAGES: Final = ("cut", "score", "verdicts", "caption")
_SPEECH: Final = (WindowKind.SINGLE_SPEECH, WindowKind.MULTI_SPEECH)
_MOST_KEPT, _MOST_REJECTED, _MOST_NAMED, _MOST_NAMES = 8, 12, 12, 200
_COUNTED: Final = ("clip_id", "uri", "kind", "num_frames", "stage", "state", "reasons", "path")
# What is looked at of every clip, or shown of an example; fingerprints and spans are most of a table.
_READ: Final = (*_COUNTED, "start_s", "absent", "tags", "marks", "captions", "gates_not_applied")


ClipRows = Callable[[Sequence[str]], Iterator["RecordBatch"]]
"""Gives the rows of clips anew at each call, with those of the named columns that the table has, or more."""


def gather(sources: Iterable[RecordBatch], clips: ClipRows, facts: RunFacts) -> ReportData:
    """Return the report of a run.

    Args:
        sources: rows of `sources.parquet`.
        clips: rows of `clips.parquet`; they are gone through twice.
        facts: what is not in the tables.

    Raises:
        StageError: the counts do not add up.
    """
    footage, windows = _Sources(), _Clips(facts)
    for batch in sources:
        footage.add(batch)
    spreads = windows.spreads
    for batch in clips([*_READ, *spreads]):
        windows.add(batch)
    measured = [name for name, spread in spreads.items() if spread.num_values]
    for batch in clips(measured) if measured else ():
        for name in measured:
            spreads[name].count(_numbers(batch, name))
    report = ReportData(
        facts=facts,
        tallies={"sources": Tally.of(footage.states)} | windows.tallies(),
        seconds={"sources": footage.seconds} | windows.seconds(facts.frame_rate),
        announced=footage.announced,
        kinds={kind: Tally.of(states) for kind, states in sorted(windows.kinds.items())},
        gates=windows.gates(),
        other_reasons=windows.other_reasons(),
        source_reasons=tuple(sorted(footage.rejected.result(), key=lambda one: -one.number)),
        idle_gates=tuple(sorted(_ranked(windows.idle), key=lambda one: windows.order_of(one[0]))),
        spreads=tuple(spread.result() for spread in spreads.values()),
        kept=tuple(windows.kept.members(_MOST_KEPT, lambda kind: -sum(windows.kinds[kind].values()))),
        rejected=tuple(windows.rejected.members(_MOST_REJECTED, lambda name: -windows.first[name])),
        failures=tuple(sorted([*footage.failures.result(), *windows.failures.result()], key=lambda one: -one.number)),
        caption_outcomes=tuple((*key, number) for key, number in sorted(windows.outcomes.items())),
        marks=_ranked(windows.marks),
    )
    report.check()
    return report


class _Named:
    """Sources or clips by stage and name of the reason, with the first few files."""

    def __init__(self) -> None:
        self._numbers: Counter[tuple[str, str]] = Counter()
        self._named: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)

    def add(self, stage: str, file: str, reasons: Sequence[str]) -> None:
        reason = reasons[0] if reasons else "no reason was noted"
        key = stage, reason_name(reason)
        if key not in self._numbers and len(self._numbers) >= _MOST_NAMES:
            key = stage, "others"
        self._numbers[key] += 1
        if len(named := self._named[key]) < _MOST_NAMED:
            named.append((file, reason))

    def result(self) -> list[Reasons]:
        return [Reasons(*key, number, tuple(self._named[key])) for key, number in sorted(self._numbers.items())]


class _Sources:
    """What is counted of sources."""

    def __init__(self) -> None:
        self.states: Counter[State] = Counter()
        self.seconds = 0.0
        self.announced: int | None = None
        self.rejected = _Named()
        self.failures = _Named()

    def add(self, batch: RecordBatch) -> None:
        self.seconds += float(np.nansum(_numbers(batch, "duration_s")))
        if "num_clips" in batch.schema.names:
            self.announced = (self.announced or 0) + int(np.nansum(_numbers(batch, "num_clips")))
        columns = (batch.column(name).to_pylist() for name in ("uri", "state", "reasons"))
        for uri, state, reasons in zip(*columns, strict=True):
            self.states[State(state)] += 1
            if state == State.FAILED:
                self.failures.add("sources", uri, reasons or ())
            elif state == State.REJECTED:
                self.rejected.add("sources", uri, reasons or ())


class _Clips:
    """What is counted of clips in the first pass."""

    def __init__(self, facts: RunFacts) -> None:
        self._gates = {gate.name: gate for gate in facts.gates}
        lines = {
            one.name: [line for gate in facts.gates for line in gate.lines.get(one.name, ())] for one in facts.measures
        }
        self.spreads = {one.name: Spread(one, lines[one.name]) for one in facts.measures}
        self.ended: Counter[tuple[str, State]] = Counter()
        self.frames: Counter[str] = Counter()
        self.kinds: dict[str, Counter[State]] = defaultdict(Counter)
        self.alone: Counter[str] = Counter()
        self.first: Counter[str] = Counter()
        self.only: Counter[str] = Counter()
        self.idle: Counter[str] = Counter()
        self.marks: Counter[str] = Counter()
        self.outcomes: Counter[tuple[str, str, str]] = Counter()
        self.failures = _Named()
        self.kept: Chosen[Example] = Chosen(per_group=_MOST_KEPT, most_groups=8)
        self.rejected: Chosen[Example] = Chosen(per_group=_MOST_REJECTED // 2, most_groups=_MOST_NAMES)

    def add(self, batch: RecordBatch) -> None:
        columns = (batch.column(name).to_pylist() for name in _COUNTED)
        for place, row in enumerate(zip(*columns, strict=True)):
            self._add_row(batch, place, *row)
        for name, spread in self.spreads.items():
            if name in batch.schema.names:
                spread.look(_numbers(batch, name))
        for name, counter in (("gates_not_applied", self.idle), ("marks", self.marks)):
            if name in batch.schema.names:
                for text, number in _texts(batch, name).items():
                    _count(counter, text, number)
        if "absent" in batch.schema.names:
            for (name, reason), number in _pairs(batch, "absent").items():
                if name in self.spreads:
                    self.spreads[name].miss(reason, number)
        if "captions" in batch.schema.names:
            self._add_captions(batch.column("captions"))

    def _add_row(
        self,
        batch: RecordBatch,
        place: int,
        number: str,
        uri: str,
        kind: str,
        num_frames: int,
        stage: str,
        written: str,
        reasons: Sequence[str] | None,
        path: str | None,
    ) -> None:
        state, reasons = State(written), reasons or ()
        self.ended[stage, state] += 1
        self.kinds[kind][state] += 1
        if stage != "cut" or state is State.KEPT:
            for name in ("cut", *(["cut_speech"] if kind in _SPEECH else [])):
                self.frames[name] += num_frames
        if stage == "caption" or (stage == "verdicts" and state is State.KEPT):
            self.frames["verdicts"] += num_frames
        if state is State.FAILED:
            self.failures.add(stage, f"{uri} ({number})", reasons)
        elif state is State.REJECTED:
            self._add_reasons([reason_name(reason) for reason in reasons] or ["no reason was noted"])
        if not path or state is State.FAILED:
            return
        chosen, group = self.kept, kind
        if state is State.REJECTED:
            chosen, group = self.rejected, reason_name(reasons[0]) if reasons else "no reason was noted"
        chosen.offer(group, number, lambda: _example(batch, place, self.spreads))

    def _add_reasons(self, names: Sequence[str]) -> None:
        distinct = list(dict.fromkeys(names))
        for name in distinct:
            _count(self.alone, name)
        _count(self.first, distinct[0])
        if len(distinct) == 1:
            _count(self.only, distinct[0])

    def _add_captions(self, captions: StructArray) -> None:
        for field, part in zip(captions.type, captions.flatten(), strict=True):
            held = {inner.name: column for inner, column in zip(part.type, part.flatten(), strict=True)}
            pairs = zip(held["model"].to_pylist(), held["outcome"].to_pylist(), strict=True)
            for (model, outcome), number in Counter(pairs).items():
                if outcome is not None:
                    key = field.name, str(model), outcome
                    is_known = key in self.outcomes or len(self.outcomes) < _MOST_NAMES
                    self.outcomes[key if is_known else (field.name, "others", "others")] += number

    def tallies(self) -> dict[str, Tally]:
        """Return the counts of each stage that has been run."""
        found = {}
        for place, stage in enumerate(_STAGES):
            here = {state: self.ended[stage, state] for state in State}
            later = sum(number for (other, _), number in self.ended.items() if other in _STAGES[place + 1 :])
            if not sum(here.values()) and not later:
                break
            kept = here[State.KEPT] + later
            failed, rejected = here[State.FAILED], here[State.REJECTED]
            found[stage] = Tally(kept + rejected + failed, kept, rejected, failed)
        return found

    def seconds(self, frame_rate: float) -> dict[str, float]:
        """Return durations of what was kept."""
        names = ["cut", "cut_speech"] + (["verdicts"] if any(stage in _STAGES[2:] for stage, _ in self.ended) else [])
        return {name: self.frames[name] / frame_rate for name in names}

    def gates(self) -> tuple[GateEffect, ...]:
        """Return what each gate removed."""
        return tuple(
            GateEffect(gate, self.alone[name], self.first[name], self.only[name]) for name, gate in self._gates.items()
        )

    def order_of(self, name: str) -> int:
        """Return the place of a gate among the gates."""
        names = list(self._gates)
        return names.index(name) if name in names else len(names)

    def other_reasons(self) -> tuple[tuple[str, int], ...]:
        """Return reasons that belong to no gate."""
        return tuple((name, number) for name, number in _ranked(self.alone) if name not in self._gates)


def reason_name(reason: str) -> str:
    """Return what a reason begins with: "corrupt_media" of "corrupt_media: no frame could be decoded"."""
    return reason.partition(":")[0].strip()[:80] or "no reason was noted"


def _example(batch: RecordBatch, place: int, measures: Iterable[str]) -> Example:
    row = batch.slice(place, 1).to_pylist()[0]
    captions = {part: str(held["text"]) for part, held in (row.get("captions") or {}).items() if held and held["text"]}
    return Example(
        clip_id=row["clip_id"],
        path=row["path"],
        uri=row["uri"],
        kind=row["kind"],
        start_s=float(row["start_s"]),
        state=State(row["state"]),
        reasons=tuple(row["reasons"] or ()),
        marks=tuple(row.get("marks") or ()),
        tags=tuple(row.get("tags") or ()),
        scores={name: row[name] for name in measures if row.get(name) is not None},
        captions=captions,
    )


def _numbers(batch: RecordBatch, name: str) -> np.ndarray:
    return np.asarray(batch.column(name).to_numpy(zero_copy_only=False), dtype=np.float64)


def _texts(batch: RecordBatch, name: str) -> Counter[str]:
    counted = batch.column(name).flatten().value_counts()
    return Counter(dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)))


def _pairs(batch: RecordBatch, name: str) -> Counter[tuple[str, str]]:
    """Count the pairs of a map: far fewer differ than there are."""
    maps = batch.column(name)
    # Of a slice too, keys and items are those of the whole.
    first, last = (maps.offsets[place].as_py() for place in (0, -1))
    if first == last:
        return Counter()
    names, texts = (part[first:last].fill_null("").dictionary_encode() for part in (maps.keys, maps.items))
    size = len(texts.dictionary)
    keys, numbers = np.unique(
        names.indices.to_numpy().astype(np.int64) * size + texts.indices.to_numpy(), return_counts=True
    )
    known, reasons = names.dictionary.to_pylist(), texts.dictionary.to_pylist()
    found = zip(keys.tolist(), numbers.tolist(), strict=True)
    return Counter({(known[key // size], reasons[key % size]): number for key, number in found})


def _count(counter: Counter[str], name: str, number: int = 1) -> None:
    """Count, unless there are so many names that they cannot be of ours."""
    counter[name if name in counter or len(counter) < _MOST_NAMES else "others"] += number


def _ranked(counter: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counter.items(), key=lambda item: (-item[1], item[0])))
