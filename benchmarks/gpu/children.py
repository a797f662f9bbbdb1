"""Rows that are commands of their own: the tests that need a GPU, and the cache of encoded clips."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from gpu.needs import is_there
from gpu.work import MissingError, Work

ROOT = Path(__file__).parents[2]
TESTS_S, CACHE_S = 150, 240
LAST_LINES, MOST_FAILURES = 6, 20
CACHE_SCRIPT = ROOT / "benchmarks" / "bench_cache_fill.py"
CACHE_CLIPS = {"full": 8, "small": 2}


def run_tests(work: Work) -> dict[str, Any]:
    """Run the tests marked `gpu` and not `slow`; return how many passed, and the end of what failures said."""
    marked = [file for file in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.gpu" in file.read_text()]
    files = [str(file.relative_to(ROOT)) for file in marked]
    if work.sizes != "full":
        files = [name for name in files if "test_residency" in name]
    report = work.folder / "tests.xml"
    options = [
        "-m",
        "gpu and not slow",
        "-q",
        "-p",
        "no:cacheprovider",
        "--continue-on-collection-errors",
        f"--junitxml={report}",
    ]
    if work.sizes == "full" and is_there("xdist"):
        options += ["-n", "4", "--dist", "loadfile"]
    command = [sys.executable, "-m", "pytest", *options, *files]
    ran = run(command, TESTS_S)
    if not report.is_file():
        raise RuntimeError("\n".join([f"pytest ended with {ran.returncode}", *ran.stdout.splitlines()[-LAST_LINES:]]))
    return {"files": len(files)} | read_report(report)


def run(command: list[str], limit_s: float) -> subprocess.CompletedProcess[str]:
    """Run a command, which is to leave the rows that come on stdin alone."""
    return subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit_s, check=False
    )


def read_report(report: Path) -> dict[str, Any]:
    """Return counts and failures of a report in JUnit's form."""
    cases = list(ElementTree.parse(report).iter("testcase"))
    failures: dict[str, list[str]] = {}
    skipped = 0
    for case in cases:
        skipped += case.find("skipped") is not None
        problem = case.find("failure")
        problem = case.find("error") if problem is None else problem
        if problem is not None:
            name = f"{case.get('classname', '')}.{case.get('name', '')}".strip(".")
            failures[name] = [line for line in (problem.text or "").splitlines() if line.strip()][-LAST_LINES:]
    return {
        "passed": len(cases) - skipped - len(failures),
        "failed": len(failures),
        "skipped": skipped,
        "failures": dict(list(failures.items())[:MOST_FAILURES]),
    }


def fill_cache(work: Work) -> dict[str, Any]:
    """Fill a cache of encoded clips with the script that measures it; return its figures."""
    if not CACHE_SCRIPT.is_file():
        raise MissingError(f"{CACHE_SCRIPT.name} is not there")
    work.release()
    target = work.folder / "cache.json"
    command = [sys.executable, str(CACHE_SCRIPT), "--device", work.device.type, "--sizes", work.sizes]
    command += ["--clips", str(CACHE_CLIPS[work.sizes]), "--json", str(target)]
    ran = run(command, CACHE_S)
    if ran.returncode:
        raise RuntimeError("\n".join([f"ended with {ran.returncode}", *ran.stderr.splitlines()[-LAST_LINES:]]))
    figures: dict[str, Any] = json.loads(target.read_text())
    return figures
