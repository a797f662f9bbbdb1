"""What the report of a run says, as plain values: a page can be made of it without the tables at hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from mova.curate.records import State
from mova.errors import StageError
from mova.pages.charts import Line
from mova.scorers.base import Measure

PAPER_CUT: Final = 0.8457
"""Share of the footage's duration that is left after stage 1 (paper, table 1)."""
PAPER_CUT_SPEECH: Final = 0.5875
"""The same, windows with speech alone."""
PAPER_VERDICTS: Final = 0.2639
"""Share of the footage's duration that is left after stage 2 (paper, table 1)."""


@dataclass(frozen=True)
class Tally:
    """How many came into a stage, and what became of them.

    Attributes:
        came_in: sources or clips.
        kept, rejected, failed: of them.
    """

    came_in: int
    kept: int
    rejected: int = 0
    failed: int = 0

    @classmethod
    def of(cls, states: Mapping[State, int]) -> Tally:
        """Return the tally of counted states."""
        kept, rejected, failed = (states.get(state, 0) for state in (State.KEPT, State.REJECTED, State.FAILED))
        return cls(sum(states.values()), kept, rejected, failed)

    @property
    def adds_up(self) -> bool:
        """Whether each that came in was kept, rejected or failed."""
        return self.came_in == self.kept + self.rejected + self.failed


@dataclass(frozen=True)
class Gate:
    """A gate of the verdict, as a reader sees it.

    Attributes:
        name: that its reasons begin with.
        text: what it keeps, in words: "silence_share below 0.8".
        lines: thresholds by name of the score.
    """

    name: str
    text: str
    lines: Mapping[str, tuple[Line, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class RunFacts:
    """What a report needs beside the tables.

    Attributes:
        measures: of the scorers that were asked, in the order of the report.
        gates: of the verdict, in its order.
        tallies: what the run's own summary says, by name: "sources", "cut", "score", "verdicts", "caption".
        recipe: as resolved, JSON values.
        versions: of packages and files of weights, by name.
        frame_rate: of the clips, frames per second.
    """

    measures: Sequence[Measure] = ()
    gates: Sequence[Gate] = ()
    tallies: Mapping[str, Tally] = field(default_factory=dict)
    recipe: Mapping[str, object] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    frame_rate: float = 24.0


@dataclass(frozen=True)
class GateEffect:
    """What a gate removed.

    Attributes:
        gate: the gate.
        alone: clips that do not pass it: what it would remove if there were no other.
        first: clips of which it is the first that they do not pass.
        only: clips that pass all others.
    """

    gate: Gate
    alone: int
    first: int
    only: int


@dataclass(frozen=True)
class ScoreSpread:
    """The values of a score.

    Attributes:
        measure: its unit, direction and meaning.
        num_values: clips that have one.
        edges, counts: of its histogram; empty without values. The outer bins hold what lies beyond them too.
        least, median, most: of the values; the median of a sample where there are many.
        lines: thresholds.
        absences: how many clips have none, by reason, most frequent first.
    """

    measure: Measure
    num_values: int
    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    least: float | None = None
    median: float | None = None
    most: float | None = None
    lines: tuple[Line, ...] = ()
    absences: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Example:
    """A clip that is shown.

    Attributes:
        clip_id: of the clip.
        path: of its file, relative to the report.
        uri: of its source.
        kind: of its window.
        start_s: where it begins in the source, in seconds.
        state: what became of it.
        reasons: why.
        marks: of a clip that is kept.
        tags: what is seen or heard.
        scores: that it has, by name.
        captions: by part.
    """

    clip_id: str
    path: str
    uri: str
    kind: str
    start_s: float
    state: State
    reasons: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    captions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reasons:
    """Sources or clips that were rejected or failed for the same kind of reason.

    Attributes:
        stage: where.
        reason: its name.
        number: how many.
        named: (file, whole reason) of the first few of them.
    """

    stage: str
    reason: str
    number: int
    named: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ReportData:
    """The report of a run.

    Attributes:
        facts: what was given beside the tables.
        tallies: counted in the tables, by stage, in order; a stage that has not been run is missing.
        seconds: duration in seconds: "sources" of all readable footage, "cut", "cut_speech" and "verdicts" of clips
            that these kept.
        announced: clips that the sources say they gave; None where they do not say.
        kinds: what became of the windows of each kind, up to the last stage.
        gates: what each removed.
        other_reasons: reasons of rejection that belong to no gate, with their numbers.
        source_reasons: why sources were rejected, most frequent first.
        idle_gates: gates that did not apply to some clips, why, and to how many.
        spreads: of every score.
        kept, rejected: examples.
        failures: by stage and reason, most frequent first.
        caption_outcomes: (part, model, outcome, number).
        marks: of clips that are kept, with their numbers.
    """

    facts: RunFacts
    tallies: Mapping[str, Tally]
    seconds: Mapping[str, float]
    announced: int | None = None
    kinds: Mapping[str, Tally] = field(default_factory=dict)
    gates: tuple[GateEffect, ...] = ()
    other_reasons: tuple[tuple[str, int], ...] = ()
    source_reasons: tuple[Reasons, ...] = ()
    idle_gates: tuple[tuple[str, int], ...] = ()
    spreads: tuple[ScoreSpread, ...] = ()
    kept: tuple[Example, ...] = ()
    rejected: tuple[Example, ...] = ()
    failures: tuple[Reasons, ...] = ()
    caption_outcomes: tuple[tuple[str, str, str, int], ...] = ()
    marks: tuple[tuple[str, int], ...] = ()

    @property
    def waiting(self) -> int:
        """Clips that are kept and have not been captioned yet."""
        if "verdicts" not in self.tallies or "caption" not in self.tallies:
            return 0
        return self.tallies["verdicts"].kept - self.tallies["caption"].came_in

    def share(self, name: str) -> float | None:
        """Return a duration as a share of all footage; None where there is none."""
        whole = self.seconds.get("sources", 0.0)
        return self.seconds[name] / whole if whole > 0 and name in self.seconds else None

    def check(self) -> None:
        """See whether the counts add up.

        Raises:
            StageError: a clip got lost or was counted twice, or the tables do not say what the stages said.
        """
        problems = list(self._problems())
        if problems:
            raise StageError(
                "the counts of a run must add up, and these do not: "
                + "; ".join(problems)
                + " (run it again: what is missing is done, and the tables are written anew)"
            )

    def _problems(self) -> Iterable[str]:
        for name, tally in self.tallies.items():
            if not tally.adds_up:
                yield f"{name}: {_words(tally)}"
        windows = sum(tally.came_in for tally in self.kinds.values())
        if self.kinds and "cut" in self.tallies and windows != self.tallies["cut"].came_in:
            yield f"the table has {windows} clips, and {self.tallies['cut'].came_in} of them belong to a stage"
        if self.announced is not None and "cut" in self.tallies and self.announced != self.tallies["cut"].kept:
            yield f"the sources gave {self.announced} clips, and the table has {self.tallies['cut'].kept} that were cut"
        flow = [name for name in ("cut", "score", "verdicts") if name in self.tallies]
        for before, after in pairwise(flow):
            if self.tallies[before].kept != self.tallies[after].came_in:
                yield (
                    f"{before} kept {self.tallies[before].kept} clips, and {self.tallies[after].came_in} came into "
                    f"{after}"
                )
        for name, said in self.facts.tallies.items():
            if (found := self.tallies.get(name)) != said:
                counted = _words(found) if found else "none of it"
                yield f"the summary of {name} says {_words(said)}, and the tables have {counted}"


def _words(tally: Tally) -> str:
    return f"{tally.came_in} in, {tally.kept} kept, {tally.rejected} rejected, {tally.failed} failed"
