"""What rows need and this machine lacks, found out before anything is computed (no torch is imported here)."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Iterable

from gpu.rows import Row

HOW_TO_GET_TORCH = (
    "install a build of torch for CUDA into the interpreter that runs this (for the project's own environment "
    "`.venv/bin/python -m pip install --force-reinstall -c constraints.txt torch`, which brings CUDA on Linux for "
    "x86-64 where the package index has such a build, as the public one does), or name another interpreter with "
    "`make gpu GPU_PYTHON=python3`"
)


def is_there(package: str) -> bool:
    """Say whether a package could be imported."""
    return importlib.util.find_spec(package) is not None


def lacking(row: Row, device: str) -> list[str]:
    """Return what a row needs and is not there, in words."""
    found = [f"package {package}" for package in row.packages if not is_there(package)]
    if row.compiles and device == "cuda":
        found += [] if is_there("triton") else ["package triton"]
        found += [] if any(shutil.which(name) for name in ("gcc", "cc", "clang")) else ["a C compiler (gcc)"]
    return found


def gpu_name() -> str | None:
    """Return the name of the first GPU as its driver says it, None where there is none."""
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = asked.stdout.strip().splitlines()
    return lines[0].strip() if asked.returncode == 0 and lines else None


def report(rows: Iterable[Row], device: str) -> list[str]:
    """Return a line for everything that is missing, with the rows that need it."""
    wanting: dict[str, list[str]] = {}
    for row in rows:
        for thing in lacking(row, device):
            wanting.setdefault(thing, []).append(row.name)
    return [f"missing: {thing} (rows {', '.join(names)})" for thing, names in wanting.items()]
