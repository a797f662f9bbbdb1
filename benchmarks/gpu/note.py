"""The ledger as a dated note in Markdown, and as a short table for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gpu.ledger import MEASURED, Ledger
from gpu.rows import ROWS

MAIN = ("seconds", "of resident", "times faster than plain", "TFLOP/s", "peak GB")


def write_note(ledger: Ledger) -> Path:
    """Write the note beside the JSON file and return its path."""
    file = ledger.file.with_suffix(".md")
    file.write_text("\n".join(lines_of_note(ledger)) + "\n")
    return file


def lines_of_note(ledger: Ledger) -> Iterator[str]:
    """Give the note line by line."""
    last = ledger.runs[-1]
    machine = last["machine"]
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    yield f"# What was measured on {ledger.device}, {ledger.sizes} sizes, {last['started'][:10]}"
    yield ""
    yield f"- {machine['gpu'] or 'no GPU'}, driver {machine['driver']}, CUDA {machine['cuda']}; {machine['system']}"
    yield f"- {machine['cpu']}, {machine['cores']} cores, {(machine['ram_bytes'] or 0) / 1e9:.0f} GB of host memory"
    yield f"- versions: Python {machine['python']}; {packages}"
    for run in ledger.runs:
        yield f"- run of {run['started']}: `{run['command']}`, commit {run['commit']}"
    yield "- random weights of the published configuration, made on the device; one of the two video experts"
    yield ""
    yield "| row | what | result | asked for | took, s |"
    yield "| --- | --- | --- | --- | --- |"
    for row in ROWS:
        found = ledger.row(row.name)
        if found is not None:
            took = found.get("seconds", "-")
            yield f"| {row.name} | {row.words} | {in_short(found)} | {row.target or '-'} | {took} |"
    for row in ROWS:
        found = ledger.row(row.name)
        if found is not None:
            yield from ["", f"## {row.name}: {row.words}", "", *details(found)]


def details(row: Mapping[str, Any]) -> Iterator[str]:
    """Give all figures of a row, or what went wrong."""
    if row["state"] != MEASURED:
        yield f"{row['state']}:"
        yield ""
        yield from [f"    {line}" for line in row.get("error", [])]
        return
    for name, value in row["figures"].items():
        if isinstance(value, dict):
            yield f"- {name}:"
            yield from [f"  - {key}: {in_words(one)}" for key, one in value.items()]
        else:
            yield f"- {name}: {in_words(value)}"


def in_short(row: Mapping[str, Any]) -> str:
    """Return the main figures of a row in one line."""
    if row["state"] != MEASURED:
        error = row.get("error") or [""]
        return f"{row['state']}{': ' if error[0] else ''}{error[0]}"[:160].replace("|", "/")
    figures = row["figures"]
    named = [name for name in MAIN if name in figures] or [
        name for name, value in figures.items() if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    return "; ".join(f"{name} {in_words(figures[name])}" for name in named)


def in_words(value: Any) -> str:
    """Return a figure as text."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {in_words(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(in_words, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
