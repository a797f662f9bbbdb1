"""How the values of a score are spread, in memory that does not grow with the table."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np

from mova.curate.report.data import ScoreSpread
from mova.pages.charts import Line
from mova.scorers.base import Measure

_BINS: Final = 36
_MOST_SAMPLED: Final = 8192
_MOST_REASONS: Final = 500


class Spread:
    """The histogram of a score, in two passes over its values: `look` at all of them, then `count` all of them.

    Args:
        measure: the score.
        lines: thresholds.
    """

    def __init__(self, measure: Measure, lines: Sequence[Line]) -> None:
        self.measure, self.lines = measure, tuple(lines)
        self.num_values = 0
        self._least, self._most = math.inf, -math.inf
        # Every so many values, in the order of the table: quantiles of as many as a person needs.
        self._sample = np.empty(0)
        self._step, self._seen = 1, 0
        self._edges: np.ndarray | None = None
        self._counts = np.zeros(_BINS, dtype=np.int64)
        self._absences: Counter[str] = Counter()

    def look(self, values: np.ndarray) -> None:
        """Take note of some values.

        Args:
            values: (N,) float64; what is not finite stands for none.
        """
        finite = values[np.isfinite(values)]
        if not len(finite):
            return
        self.num_values += len(finite)
        self._least, self._most = min(self._least, float(finite.min())), max(self._most, float(finite.max()))
        first = -self._seen % self._step
        self._seen += len(finite)
        self._sample = np.concatenate([self._sample, finite[first :: self._step]])
        while len(self._sample) > _MOST_SAMPLED:
            self._sample, self._step = self._sample[::2], self._step * 2

    def miss(self, reason: str, number: int = 1) -> None:
        """Take note of clips without a value."""
        if len(self._absences) >= _MOST_REASONS and reason not in self._absences:
            reason = reason.partition(":")[0]
        self._absences[reason] += number

    def count(self, values: np.ndarray) -> None:
        """Count values into bins; all have been looked at before."""
        finite = values[np.isfinite(values)]
        if not len(finite):
            return
        if self._edges is None:
            self._edges = self._make_edges()
        places = np.searchsorted(self._edges, finite, side="right") - 1
        self._counts += np.bincount(np.clip(places, 0, _BINS - 1), minlength=_BINS)

    def result(self) -> ScoreSpread:
        """Return what was found."""
        absences = tuple(sorted(self._absences.items(), key=lambda item: (-item[1], item[0])))
        if not self.num_values or self._edges is None:
            return ScoreSpread(self.measure, 0, lines=self.lines, absences=absences)
        return ScoreSpread(
            self.measure,
            self.num_values,
            tuple(map(float, self._edges)),
            tuple(map(int, self._counts)),
            self._least,
            float(np.median(self._sample)),
            self._most,
            self.lines,
            absences,
        )

    def _make_edges(self) -> np.ndarray:
        low, high = np.quantile(self._sample, (0.005, 0.995))
        room = (high - low) or max(abs(low), 1.0) * 0.1
        # A few values far away must not press all others into one bin.
        low, high = max(self._least, low - room / 2), min(self._most, high + room / 2)
        for line in self.lines:
            if low - 3 * room <= line.value <= high + 3 * room:
                low, high = min(low, line.value - room * 0.02), max(high, line.value + room * 0.02)
        if high - low <= 1e-9 * max(abs(low), abs(high), 1e-9):
            low, high = low - room / 2, high + room / 2
        edges = np.linspace(low, high, _BINS + 1)
        for line in self.lines:
            # No bin holds clips of both sides of a threshold.
            nearest = int(np.argmin(np.abs(edges[1:-1] - line.value))) + 1
            if edges[nearest - 1] < line.value < edges[nearest + 1]:
                edges[nearest] = line.value
        return edges
