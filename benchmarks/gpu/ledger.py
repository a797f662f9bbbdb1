"""What has been measured, in a JSON file that is complete at any moment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MEASURED, FAILED, MISSING, NO_TIME = "measured", "failed", "missing", "not measured: no time left"


@dataclass
class Ledger:
    """Rows by their key: name, sizes and device; a row of another commit stays until it is asked for again.

    Attributes:
        file: where it is kept.
        sizes: of this run.
        device: name of the device of this run.
        runs: when, with which command and commit, on what.
        rows: state, figures or error, seconds and commit by key.
    """

    file: Path
    sizes: str
    device: str
    runs: list[dict[str, Any]] = field(default_factory=list)
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def open(cls, file: Path, sizes: str, device: str) -> Ledger:
        """Return what a file holds, or an empty one where there is none."""
        held = json.loads(file.read_text()) if file.is_file() else {}
        return cls(file, sizes, device, held.get("runs", []), held.get("rows", {}))

    def row(self, name: str) -> dict[str, Any] | None:
        """Return a row of these sizes and this device; None where there is none."""
        return self.rows.get(self._key(name))

    def has(self, name: str) -> bool:
        """Say whether a row was measured."""
        return (self.row(name) or {}).get("state") == MEASURED

    def figures(self) -> dict[str, dict[str, Any]]:
        """Return the figures of all measured rows of these sizes and this device, by name."""
        prefix = self._key("")
        kept = {key.removeprefix(prefix): row for key, row in self.rows.items() if key.startswith(prefix)}
        return {name: row["figures"] for name, row in kept.items() if row["state"] == MEASURED}

    def put(self, name: str, row: Mapping[str, Any]) -> None:
        """Keep a row and save; what was measured is not lost to an attempt that gave nothing."""
        if self.has(name) and row["state"] != MEASURED:
            self.rows[self._key(name)]["later"] = dict(row)
        else:
            self.rows[self._key(name)] = dict(row)
        self.save()

    def save(self) -> None:
        """Write the file, which appears complete."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        beside = self.file.with_name(f".{self.file.name}.partial")
        beside.write_text(json.dumps({"runs": self.runs, "rows": self.rows}, indent=1) + "\n")
        beside.replace(self.file)

    def _key(self, name: str) -> str:
        return f"{self.device} | {self.sizes} | {name}"
