"""From the table of scores to what gates look at, and from what they decided to a table: whole columns at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mova.curate.config.verdicts import Gate
from mova.curate.decide.verdicts import (
    HASHES,
    Absent,
    Decisions,
    Evidence,
    Outcome,
    Repeats,
    Verdict,
    embeddings_of,
    names_of,
    reason_of,
    tags_of,
    wants_hashes,
)
from mova.curate.folder import OutputFolder
from mova.curate.records import State
from mova.curate.score.embeddings import has_vector, open_space
from mova.curate.tables import ROWS, TableWriter, arrow, iter_batches, num_rows, score_names
from mova.scorers.base import Absence
from mova.scorers.registry import all_spaces

if TYPE_CHECKING:
    from mova.curate.tables import Batch

_CODES = {
    Absence.WEIGHTS: Absent.SKIPPED,
    Absence.PACKAGE: Absent.SKIPPED,
    Absence.NOT_APPLICABLE: Absent.NOT_APPLICABLE,
    Absence.FAILED: Absent.FAILED,
}


def read_evidence(path: Path, gates: Sequence[Gate]) -> Evidence:
    """Return what gates look at, for all clips of a table.

    Args:
        path: table of all clips after they were scored.
        gates: of the recipe; only what they look at is read.

    Raises:
        DataError: the table is damaged or missing.
    """
    count, columns = num_rows(path), score_names(path)
    spaces = {space.name: space.measure for space in all_spaces() if space.name in embeddings_of(gates)}
    wanted, tags = list(dict.fromkeys((*names_of(gates), *spaces.values()))), tags_of(gates)
    is_open = np.zeros(count, bool)
    scores: dict[str, np.ndarray] = {}
    absences: dict[str, np.ndarray] = {}
    has_tag = {tag: np.zeros(count, bool) for tag in tags}
    hashes = _Hashes(count) if wants_hashes(gates) else None
    for name in wanted:
        scores[name], absences[name] = np.full(count, np.nan), np.zeros(count, np.uint8)
    read = ["state", *(name for name in wanted if name in columns), *(["absent"] if wanted else [])]
    read += [*(["tags"] if tags else []), *(["fingerprints"] if hashes else [])]
    begin = 0
    pc = arrow().compute
    for batch in iter_batches(path, read, rows=4 * ROWS):
        here = slice(begin, begin + batch.num_rows)
        begin += batch.num_rows
        is_open[here] = _numpy(pc.equal(batch.column("state"), str(State.KEPT)))
        for name in wanted:
            if name in columns:
                scores[name][here] = batch.column(name).to_numpy(zero_copy_only=False)
            absences[name][here] = _absences(batch.column("absent"), name)
        if tags:
            _mark_tags(batch.column("tags"), has_tag, here)
        if hashes is not None:
            hashes.add(batch.column("fingerprints"), here)
    # What no clip has a word on was measured by no scorer of the run.
    measured = [name for name in wanted if not np.isnan(scores[name]).all() or absences[name].any()]
    for name in measured:
        absences[name][np.isnan(scores[name]) & (absences[name] == Absent.NO)] = Absent.SKIPPED
    return Evidence(
        is_open,
        {name: scores[name] for name in measured},
        {name: absences[name] for name in measured},
        has_tag,
        {} if hashes is None else hashes.values,
        {} if hashes is None else hashes.has,
        *_embeddings(path, spaces, absences),
    )


def _embeddings(
    path: Path, spaces: Mapping[str, str], absences: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the embeddings that there are in spaces, and codes of why clips have none.

    Args:
        path: table of all clips.
        spaces: measure whose absence is that of the embedding, by name of the space.
        absences: codes of why clips have no value, by measure.
    """
    found: dict[str, np.ndarray] = {}
    absent: dict[str, np.ndarray] = {}
    for name, measure in spaces.items():
        rows = open_space(path, name, len(absences[measure]))
        if rows is not None:
            found[name], codes = rows, absences[measure].copy()
            codes[~has_vector(rows) & (codes == Absent.NO)] = Absent.NOT_APPLICABLE
            absent[name] = codes
    return found, absent


def write_verdicts(folder: OutputFolder, scored: Path, decisions: Decisions) -> None:
    """Write the table of verdicts, in the order of the clips.

    Args:
        folder: of the run.
        scored: table of all clips after they were scored; what earlier stages decided is taken from it.
        decisions: on them.

    Raises:
        OSError: the table cannot be written.
    """
    pa = arrow()
    words = pa.list_(pa.string())
    schema = pa.schema(
        [
            ("clip_id", pa.string()),
            ("state", pa.string()),
            ("reasons", words),
            ("gates_not_applied", words),
            ("is_open", pa.bool_()),
        ]
    )
    repeated = _originals(scored, decisions)
    rejects = [reason_of(ruling.name, ruling.condition) for ruling in decisions.rulings]
    fails = [f"not_measured: {ruling.name}: the scorer failed on this clip" for ruling in decisions.rulings]
    names = [ruling.name for ruling in decisions.rulings]
    begin = 0
    with TableWriter(folder, folder.verdicts, schema) as writer:
        for batch in iter_batches(scored, ["clip_id", "state", "reasons"]):
            here = slice(begin, begin + batch.num_rows)
            begin += batch.num_rows
            verdicts, outcomes = decisions.verdicts[here], decisions.outcomes[:, here]
            is_open = verdicts != Verdict.EARLIER
            of_batch = {row - here.start: repeated[row] for row in range(here.start, begin) if row in repeated}
            reasons = _words(
                [*rejects, *fails],
                np.concatenate((outcomes == Outcome.NOT_MET, outcomes == Outcome.NOT_MEASURED)) & is_open,
                of_batch,
            )
            earlier = pa.array(~is_open)
            states = pa.array([str(State.KEPT), str(State.REJECTED), str(State.FAILED), ""]).take(pa.array(verdicts))
            columns = [
                batch.column("clip_id"),
                pa.compute.if_else(earlier, batch.column("state"), states),
                pa.compute.if_else(earlier, batch.column("reasons"), reasons),
                _words(names, (outcomes == Outcome.NOT_APPLIED) & is_open, {}),
                pa.array(is_open),
            ]
            writer.add(pa.Table.from_arrays(columns, schema=schema))


def _words(texts: Sequence[str], chosen: np.ndarray, others: dict[int, tuple[int, str]]) -> Any:
    """Return lists of texts.

    Args:
        texts: T of them.
        chosen: (T, N) bool; which of them are in each list.
        others: for some rows, a text in place of one of `texts`.
    """
    pa = arrow()
    _, which = np.nonzero(chosen.T)
    which = which.copy()
    all_texts = list(texts)
    offsets = np.concatenate(([0], np.cumsum(chosen.sum(axis=0)))).astype(np.int32)
    for row, (place, text) in others.items():
        mine = which[offsets[row] : offsets[row + 1]]
        mine[mine == place] = len(all_texts)
        all_texts.append(text)
    values = pa.array(all_texts, pa.string()).take(pa.array(which))
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def _originals(path: Path, decisions: Decisions) -> dict[int, tuple[int, str]]:
    """Return, by row of a near-duplicate, the place of its gate and the reason, which names the other clip."""
    found = {}
    for place, repeats in decisions.repeats.items():
        name = decisions.rulings[place].name
        for row, other in _ids(path, repeats.rows).items():
            found[row] = place, f"{name}: of {other}{_cosines(repeats, row)}"
    return found


def _cosines(repeats: Repeats, row: int) -> str:
    words = [f"{values[row]:.4f} ({name})" for name, values in repeats.cosines.items()]
    return f", cosine {', '.join(words)}" if words else ""


def _ids(path: Path, repeats: np.ndarray) -> dict[int, str]:
    """Return, by row, the id of the clip that it repeats."""
    wanted = np.unique(repeats[repeats >= 0])
    ids: dict[int, str] = {}
    begin = 0
    for batch in iter_batches(path, ["clip_id"]) if len(wanted) else ():
        rows = wanted[(wanted >= begin) & (wanted < begin + batch.num_rows)]
        ids |= zip(rows.tolist(), batch.column(0).take(arrow().array(rows - begin)).to_pylist(), strict=True)
        begin += batch.num_rows
    return {int(row): ids[int(repeats[row])] for row in np.flatnonzero(repeats >= 0)}


def _absences(absent: Any, name: str) -> np.ndarray:
    """Return codes of why a measure has no value: (N,) uint8 of `Absent`."""
    pc = arrow().compute
    reasons = pc.fill_null(pc.map_lookup(absent, query_key=name, occurrence="first"), "")
    codes = np.zeros(len(reasons), np.uint8)
    for kind, code in _CODES.items():
        codes[_numpy(pc.starts_with(reasons, str(kind)))] = code
    return codes


def _mark_tags(column: Any, has_tag: dict[str, np.ndarray], here: slice) -> None:
    pc = arrow().compute
    flat, parents = pc.list_flatten(column), pc.list_parent_indices(column).to_numpy()
    for tag, marks in has_tag.items():
        marks[here.start + parents[_numpy(pc.equal(flat, tag))]] = True


class _Hashes:
    """Hashes of N clips as words of 64 bits; how many a hash has is known from the first one."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.values: dict[str, np.ndarray] = {}
        self.has: dict[str, np.ndarray] = {}

    def add(self, column: object, here: slice) -> None:
        """Take the fingerprints of rows."""
        for name in HASHES:
            texts = arrow().compute.map_lookup(column, query_key=name, occurrence="first")
            rows, found = _word_rows(texts)
            if not len(rows):
                continue
            if name not in self.values:
                self.values[name] = np.zeros((self._count, found.shape[1]), np.uint64)
                self.has[name] = np.zeros(self._count, bool)
            if found.shape[1] == self.values[name].shape[1]:
                self.values[name][here.start + rows] = found
                self.has[name][here.start + rows] = True


def _word_rows(texts: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that have a hash of the usual length, and these hashes: (M,) and (M, words) uint64."""
    pc = arrow().compute
    lengths = _numpy(pc.fill_null(pc.utf8_length(texts), 0))
    usual = int(lengths.max(initial=0))
    rows = np.flatnonzero((lengths == usual) & (lengths > 0))
    if not len(rows) or usual % 16:
        return np.empty(0, np.int64), np.empty((0, 0), np.uint64)
    joined = "".join(texts.take(arrow().array(rows)).to_pylist())
    return rows, np.frombuffer(bytes.fromhex(joined), np.uint64).reshape(len(rows), usual // 16)


def _numpy(values: Any) -> np.ndarray:
    return np.asarray(values.to_numpy(zero_copy_only=False))


def iter_kept(folder: OutputFolder, scored: Path) -> Iterator[tuple[Batch, np.ndarray, np.ndarray]]:
    """Yield pieces of the table of all clips, each with which are open (after score) and which are kept: (N,) bool.

    Raises:
        DataError: a table is damaged or missing.
    """
    verdicts = iter_batches(folder.verdicts, ["state", "is_open"], rows=ROWS // 8)
    for batch in iter_batches(scored, rows=ROWS // 8):
        verdict = next(verdicts)
        yield (
            batch,
            _numpy(verdict.column("is_open")),
            _numpy(arrow().compute.equal(verdict.column("state"), str(State.KEPT))),
        )
