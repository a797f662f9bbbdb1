"""Verdicts over many synthetic clips: seconds of the processor and peak memory, step by step, for each preset.

    .venv/bin/python benchmarks/bench_verdicts.py --rows 1000000 > benchmarks/results/verdicts_<yyyymm>.md

What is timed is what `mova curate verdicts` does but for its report: it reads the scores, decides, and writes the table
of verdicts, the final table and the summary. Two in a hundred rows are near-duplicates of earlier ones.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mova.bench.peak import peak_bytes
from mova.curate.assemble import write_final
from mova.curate.config.verdicts import VerdictsSection
from mova.curate.decide.evidence import read_evidence, write_verdicts
from mova.curate.decide.verdicts import decide
from mova.curate.folder import OutputFolder
from mova.curate.records import SourceRecord, State, WindowKind, clip_id
from mova.curate.source_table import write_sources
from mova.curate.summary import write_summary
from mova.curate.tables import TableWriter, arrow, clip_types, named_schema
from mova.scorers.registry import all_measures

STAGES = ("cut", "score", "caption")
PIECE = 50_000
REPEATS = 0.02


def main() -> None:
    """Make the rows once, then time each preset over them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--presets", nargs="+", default=["paper", "quantiles"])
    parser.add_argument("--folder", type=Path, help="keep the rows here; made where they are missing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = OutputFolder(options.folder or Path(temporary))
        folder.prepare()
        if not folder.table("score").exists():
            make_rows(folder, options.rows)
        sys.stdout.write("| preset | step | processor s | wall s |\n| --- | --- | ---: | ---: |\n")
        for preset in options.presets:
            run(folder, preset)
        peak = peak_bytes() / 2**20
        sys.stdout.write(f"\npeak memory {peak:.0f} MiB, {options.rows} rows\n")


def run(folder: OutputFolder, preset: str) -> None:
    """Print a line for each step of a preset, and their sum."""
    gates = VerdictsSection.model_validate({"preset": preset}).all_gates
    scored = folder.table("score")
    begun, begun_wall = time.process_time(), time.monotonic()

    def timed(step: str, work: Callable[[], Any]) -> Any:
        start, wall = time.process_time(), time.monotonic()
        result = work()
        say(preset, step, time.process_time() - start, time.monotonic() - wall)
        return result

    evidence = timed("read", lambda: read_evidence(scored, gates))
    decisions = timed("decide", lambda: decide(gates, evidence))
    timed("write verdicts", lambda: write_verdicts(folder, scored, decisions))
    timed("write clips", lambda: write_final(folder, "score", "caption"))
    timed("summary", lambda: write_summary(folder, STAGES, decisions, 24.0))
    say(preset, "all", time.process_time() - begun, time.monotonic() - begun_wall)


def say(preset: str, step: str, processor_s: float, wall_s: float) -> None:
    """Print a row of the table."""
    sys.stdout.write(f"| {preset} | {step} | {processor_s:.2f} | {wall_s:.2f} |\n")
    sys.stdout.flush()


def make_rows(folder: OutputFolder, count: int) -> None:
    """Write the table of scored clips, every measure of the scorers in it, and a table of one source."""
    pa = arrow()
    names = sorted(measure.name for measure in all_measures())
    rng = np.random.default_rng(0)
    hashes = {name: rng.integers(0, 256, (count, 32), np.uint8) for name in ("image_hash", "audio_hash")}
    late = rng.choice(np.arange(count // 2, count), int(REPEATS * count), replace=False)
    early = rng.integers(0, count // 2, len(late))
    for values in hashes.values():
        values[late] = values[early]
        values[late, 5] ^= 3
    columns = [*clip_types().items(), ("stage", pa.string())]
    columns[11:11] = [(name, pa.float64()) for name in names]
    schema = named_schema(pa.schema(columns), names)
    with TableWriter(folder, folder.table("score"), schema) as writer:
        for first in range(0, count, PIECE):
            some = range(first, min(first + PIECE, count))
            writer.add(piece(schema, names, some, rng, {name: values[some] for name, values in hashes.items()}))
    write_sources(folder, folder.sources, [(SourceRecord("s", "a.mp4", "ab", 1, duration_s=8.0 * count), count)])


def piece(schema: Any, names: list[str], rows: range, rng: np.random.Generator, hashes: dict[str, np.ndarray]) -> Any:
    """Return some rows of the table."""
    pa, count = arrow(), len(rows)
    by_weights = ("dover", "audiobox", "imagebind", "desync", "lse")
    absent = [(name, "skipped: weights: of another") for name in names if name.startswith(by_weights)]
    values: dict[str, Any] = {name: [""] * count for name in schema.names}
    values |= {name: rng.random(count) * (20_000 if name.endswith("_hz") else 1) for name in names}
    values |= {name: [None] * count for name, _ in absent}
    values |= {name: [[]] * count for name in ("columns", "cuts_s", "speech", "spans", "texts", "marks", "reasons")}
    heard = rng.random(count) < 0.6
    values |= {
        "clip_id": [clip_id("ab", str(row), 193, "") for row in rows],
        "uri": ["a.mp4"] * count,
        "kind": [WindowKind.SINGLE_SPEECH] * count,
        "start_s": [8.5 * row for row in rows],
        "num_frames": [193] * count,
        "absent": [absent] * count,
        "tags": [["speech"] if speaks else ["music"] for speaks in heard],
        "fingerprints": [
            [(name, found[row].tobytes().hex()) for name, found in hashes.items()] for row in range(count)
        ],
        "state": [State.KEPT] * count,
        "stage": ["score"] * count,
    }
    return pa.table([pa.array(values[field.name], field.type) for field in schema], schema=schema)


if __name__ == "__main__":
    main()
