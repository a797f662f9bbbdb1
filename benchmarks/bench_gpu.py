"""Every figure that needs a GPU, by one command: most valuable first, within a given number of minutes.

    make gpu
    .venv/bin/python benchmarks/bench_gpu.py --minutes 13 --output benchmarks/results/gpu_h200_<yyyymmdd>.json

Each row is kept as soon as it is there, in a JSON file with a dated note in Markdown beside it; given the same file
again, the command goes on where it stopped (`--again ROW` measures a row once more). Rows that would not fit into the
time are left out and named; a row that fails, or ends its process, is kept with its error, and the next one goes on.
What is missing is said first, for all rows. Weights are random, of the published configuration, made on the device:
no file is needed. A GPU of 80 GB is enough for most rows.

`--sizes small --device cpu` tries everything in a minute or two on any machine; its figures say nothing.
"""

from __future__ import annotations

import argparse
import datetime
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


def find_packages() -> dict[str, str]:
    """Let this process and its children find the folders of this project, installed or not; return the environment."""
    folders = [str(ROOT / "src"), str(HERE)]
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]
    given = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*folders, *([given] if given else [])])}


def read_options() -> argparse.Namespace:
    """Return the options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=13.0, help="by then everything has ended")
    parser.add_argument("--output", type=Path, help="JSON file; the note lies beside it")
    parser.add_argument("--rows", default="a,b,c,d,e,f,g,h", help="letters of groups or names, with commas between")
    parser.add_argument("--again", default="", help="the same, of rows that are measured though they were")
    parser.add_argument("--list", action="store_true", help="show the rows with about how long they take")
    parser.add_argument("--rounds", type=int, default=2, help="measured calls, after one that does not count")
    parser.add_argument("--sizes", choices=("full", "small"), default="full")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--commit", help="of the code, where git cannot say")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.sizes == "full" and chosen.device == "cpu":
        parser.error("--sizes full needs --device cuda, got cpu; nearest is --sizes small")
    return chosen


def commit_of() -> str:
    """Return the commit of the code, with a mark where it was changed; what git cannot say is unknown."""
    try:
        asked = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return asked.stdout.strip()


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """Do what the options say; return the exit code."""
    started = time.monotonic()
    environment = find_packages()
    chosen = read_options()
    if chosen.worker:
        from gpu.work import serve

        serve(chosen.sizes, chosen.device, chosen.rounds)
        return 0
    from gpu.rows import BY_NAME, choose

    try:
        rows = choose(filter(None, chosen.rows.split(",")))
        again = [row.name for row in choose(filter(None, chosen.again.split(",")))]
    except ValueError as problem:
        say(str(problem))
        return 2
    if chosen.list:
        for row in BY_NAME.values():
            target = f"; asked for: {row.target}" if row.target else ""
            say(f"{row.name:<18} about {row.seconds():4.0f} s  {row.words}{target}")
        return 0
    return run(chosen, environment, [row.name for row in rows], again, started)


def run(
    chosen: argparse.Namespace, environment: dict[str, str], names: list[str], again: list[str], started: float
) -> int:
    """Measure; return the exit code."""
    from gpu.ledger import Ledger
    from gpu.needs import HOW_TO_GET_TORCH, gpu_name, is_there, report
    from gpu.note import in_short, write_note
    from gpu.rows import BY_NAME
    from gpu.supervise import Worker, go, worker_command

    rows = [BY_NAME[name] for name in names]
    if not is_there("torch"):
        say(f"missing: torch; {HOW_TO_GET_TORCH}")
        return 2
    for line in report(rows, chosen.device):
        say(line)
    day = datetime.datetime.now(tz=datetime.UTC)
    name = "cpu" if chosen.device == "cpu" else (gpu_name() or "gpu").split()[-1].lower()
    output = chosen.output or HERE / "results" / f"gpu_{name}_{day:%Y%m%d}.json"
    command = worker_command(Path(__file__).resolve(), chosen.sizes, chosen.device, chosen.rounds)
    worker = Worker(command, output.with_suffix(".log"), environment)
    try:
        said = worker.start()
        if "lacks" in said:
            worker.log.unlink(missing_ok=True)
            say(f"missing: {said['lacks']}; {HOW_TO_GET_TORCH}; `--sizes small --device cpu` tries it without a GPU")
            return 2
        ledger = Ledger.open(output, chosen.sizes, said["machine"]["gpu"] or "cpu")
        commit = chosen.commit or commit_of()
        command_line = shlex.join(["benchmarks/bench_gpu.py", *sys.argv[1:]])
        ledger.runs.append({"started": f"{day:%Y-%m-%dT%H:%M:%SZ}", "command": command_line, "commit": commit, **said})
        ledger.save()
        free = said["free GB"]
        room = f", {free['GPU']} of {free['of']} GB free" if free else ""
        say(f"{ledger.device}{room}; started in {time.monotonic() - started:.0f} s")
        results = go(
            rows,
            ledger,
            worker,
            deadline=started + 60 * chosen.minutes,
            device=chosen.device,
            commit=commit,
            again=again,
            after=lambda _: write_note(ledger),
        )
        for row, found in results:
            state = in_short(found if found["state"] != "kept" else ledger.row(row.name) or found)
            kept = " (kept)" if found["state"] == "kept" else ""
            say(f"{time.monotonic() - started:6.0f} s  {row.name:<18}{kept} {state}")
        say(f"written: {output} and {write_note(ledger).name}")
    except (EOFError, TimeoutError) as problem:
        say("\n".join([f"the measurement cannot begin: {problem}", *worker.last_lines()]))
        return 1
    finally:
        worker.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
