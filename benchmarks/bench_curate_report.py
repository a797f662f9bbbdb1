"""The report of a curation over many synthetic clips: processor seconds, peak memory and the size of the page.

    .venv/bin/python benchmarks/bench_curate_report.py --rows 1000000 > benchmarks/results/curate_report_<yyyymm>.md

What is timed is what `mova curate` does for its report when the tables are complete. The rows are those of
`bench_verdicts.py`, decided by the preset, so that gates, histograms and examples have something to show.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench_verdicts import STAGES, make_rows

from mova.curate.assemble import write_final
from mova.curate.config.recipe import load_curation
from mova.curate.decide.evidence import read_evidence, write_verdicts
from mova.curate.decide.verdicts import decide
from mova.curate.folder import OutputFolder
from mova.curate.report.gather import gather
from mova.curate.report.run import read_facts
from mova.curate.report.write import write_page
from mova.curate.summary import write_summary
from mova.curate.tables import iter_batches
from mova.scorers.registry import all_measures
from mova.version import package_version


def main() -> None:
    """Make the tables in a process of their own, then time the report: their memory does not count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--preset", default="quantiles")
    parser.add_argument("--folder", type=Path, help="keep the tables here; made where they are missing")
    parser.add_argument("--only-make", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only_make:
        make_tables(OutputFolder(options.folder), options.rows, options.preset)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = OutputFolder(options.folder or Path(temporary))
        if not folder.summary.exists():
            given = ["--only-make", "--rows", str(options.rows), "--preset", options.preset]
            subprocess.run([sys.executable, __file__, *given, "--folder", str(folder.root)], check=True)
        run(folder)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        size = (folder.root / "report.html").stat().st_size / 1024
        sys.stdout.write(f"\npeak memory {peak:.0f} MiB, page {size:.0f} KiB, {options.rows} rows\n")


def run(folder: OutputFolder) -> None:
    """Print a line for each step of the report, and their sum."""
    sys.stdout.write("| step | processor s | wall s |\n| --- | ---: | ---: |\n")
    begun, begun_wall = time.process_time(), time.monotonic()

    def timed(step: str, work: Callable[[], Any]) -> Any:
        start, wall = time.process_time(), time.monotonic()
        result = work()
        say(step, time.process_time() - start, time.monotonic() - wall)
        return result

    facts = timed("facts", lambda: read_facts(folder.root, all_measures()))
    rows = lambda columns: iter_batches(folder.clips, columns)  # noqa: E731
    data = timed("gather", lambda: gather(iter_batches(folder.sources), rows, facts))
    timed("page", lambda: write_page(folder.root / "report.html", data))
    say("all", time.process_time() - begun, time.monotonic() - begun_wall)


def say(step: str, processor_s: float, wall_s: float) -> None:
    """Print a row of the table."""
    sys.stdout.write(f"| {step} | {processor_s:.2f} | {wall_s:.2f} |\n")
    sys.stdout.flush()


def make_tables(folder: OutputFolder, count: int, preset: str) -> None:
    """Write what a run leaves: scored clips, verdicts, the final table, the summary and the recipe."""
    folder.prepare()
    make_rows(folder, count)
    config = load_curation("paper", [f"verdicts.preset={preset}"])
    folder.write_json(folder.recipe, {"mova": package_version(), "recipe": config.model_dump(mode="json")})
    gates = config.verdicts.all_gates
    decisions = decide(gates, read_evidence(folder.table("score"), gates))
    write_verdicts(folder, folder.table("score"), decisions)
    write_final(folder, "score", "caption")
    write_summary(folder, STAGES, decisions, config.cut.frame_rate)


if __name__ == "__main__":
    main()
