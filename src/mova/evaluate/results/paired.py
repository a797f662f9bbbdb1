"""Two evaluations of the same prompts, clip by clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mova.errors import ConfigError
from mova.evaluate import stats
from mova.evaluate.results.rows import Results
from mova.evaluate.stats import Estimate
from mova.files.json_file import as_fields, read_object
from mova.scorers.base import Direction


@dataclass(frozen=True)
class PairedRow:
    """A measure of the clips that both evaluations have a value for.

    Attributes:
        name: of the measure.
        direction: which values are better.
        difference: ours minus theirs: mean over pairs, with its 95 % bootstrap interval over pairs.
        share_better: of the pairs, in [0, 1]; equal values count half. None where no value is the better one.
        num_ours, num_theirs: clips of each that have a value.
    """

    name: str
    direction: Direction
    difference: Estimate
    share_better: float | None
    num_ours: int
    num_theirs: int

    @property
    def is_certain(self) -> bool:
        """Whether the interval leaves 0 out."""
        low, high = self.difference.low, self.difference.high
        return low is not None and high is not None and (low > 0 or high < 0)

    def to_json(self) -> dict[str, object]:
        """Return the row as JSON values."""
        return {**asdict(self), "is_certain": self.is_certain}


def compare(ours: Results, theirs: Mapping[str, Mapping[str, float]]) -> tuple[PairedRow, ...]:
    """Return a row for each measure that both have; clips belong together by their names.

    Args:
        ours: this evaluation.
        theirs: values by clip and measure, of `read_values`.

    Raises:
        ConfigError: no clip of the one is in the other.
    """
    shared = [clip for clip in ours.clips if clip.id in theirs]
    if not shared:
        raise ConfigError(
            "two evaluations are compared by the names of their clips, and these two have no name in common, such as "
            f"{ours.clips[0].id!r} of the one and {next(iter(theirs), '')!r} of the other"
        )
    rows = []
    for row in ours.rows:
        pairs = [
            (clip.scores[row.name], theirs[clip.id][row.name])
            for clip in shared
            if row.name in clip.scores and row.name in theirs[clip.id]
        ]
        if not pairs:
            continue
        rows.append(
            PairedRow(
                row.name,
                row.direction,
                stats.mean([one - other for one, other in pairs]),
                _share_better(pairs, row.direction),
                sum(row.name in clip.scores for clip in ours.clips),
                sum(row.name in values for values in theirs.values()),
            )
        )
    return tuple(rows)


def read_values(folder: Path) -> Mapping[str, Mapping[str, float]]:
    """Return the values of another evaluation, by clip and measure.

    Args:
        folder: with its `report.json`.

    Raises:
        ConfigError: there is none, or it is damaged.
    """
    document = read_object(folder / "report.json", error=ConfigError, most_bytes=1 << 30)
    found = {}
    for entry in document.list("clips"):
        clip = as_fields(entry, f"{document.where}: clips", error=ConfigError)
        scores = clip.fields("scores")
        found[clip.text("id")] = {name: scores.number(name) for name in scores.values}
    return found


def _share_better(pairs: Sequence[tuple[float, float]], direction: Direction) -> float | None:
    if direction is Direction.NEITHER:
        return None
    sign = 1 if direction is Direction.HIGHER else -1
    won = sum(1.0 if sign * (one - other) > 0 else 0.5 if one == other else 0.0 for one, other in pairs)
    return won / len(pairs)
