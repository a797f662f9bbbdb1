"""Voters of an arena on loopback while the server is killed: how long votes take, and that none is lost or doubled.

    .venv/bin/python benchmarks/bench_arena.py
    .venv/bin/python benchmarks/bench_arena.py --databases sqlite --votes 1000 --kills 2

The server is `mova evaluate arena serve`, in a process of its own; voters are threads of this one, and share its cores.
PostgreSQL is Debian's, started for this run. The run fails where a vote that was acknowledged is lost or doubled. The
time of a call is that of `POST /api/vote`, the first time that it is made, from the call to the acknowledgement.
"""

from __future__ import annotations

import argparse
import datetime
import os
import resource
import sys
import tempfile
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path

import numpy as np

from mova.cores import num_cores
from mova.kernels.calibration import processor_name

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "shared"))
from arena_load import vote_through_kills
from fixtures_databases import running_postgres

PACKAGES = ("fastapi", "uvicorn", "sqlalchemy", "psycopg")


def measured(kind: str, voters: int, votes: int, kills: int) -> str:
    """Return a row of the table for one kind of database."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_postgres() if kind == "postgresql" else nullcontext(lambda _: "") as made,
    ):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        voted = vote_through_kills(Path(folder), voters, votes, kills, url=made("load"))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    middle, rare = (1000 * float(np.quantile(voted.calls_s, share)) for share in (0.5, 0.99))
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return (
        f"| {kind} | {voted.num_kept:,} | {kills} | {voted.seconds:.1f} | {processor:.1f} | {middle:.0f} | {rare:.0f} |"
    )


def main() -> None:
    """Let people vote, and print a note."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--databases", default="sqlite,postgresql", help="With commas between.")
    parser.add_argument("--voters", type=int, default=50)
    parser.add_argument("--votes", type=int, default=10_000, help="Of all together; a multiple of the voters.")
    parser.add_argument("--kills", type=int, default=20, help="SIGKILLs of the server.")
    options = parser.parse_args()
    lines = [
        f"# Voters of an arena, {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}",
        "",
        f"`{' '.join(['benchmarks/bench_arena.py', *sys.argv[1:]])}` on {processor_name()}, {num_cores()} cores,",
        f"load {os.getloadavg()[0]:.1f}; {', '.join(f'{name} {version(name)}' for name in PACKAGES)}.",
        f"{options.voters} voters; all acknowledged votes are there once, and none more.",
        "",
        "| database | votes | kills | seconds | processor seconds of the servers | a vote, ms: median | 99 % |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    for kind in options.databases.split(","):
        sys.stdout.write(measured(kind, options.voters, options.votes, options.kills) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
