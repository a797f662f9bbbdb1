"""Where the figures of a run go: one JSON line per event, always."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any


class JsonlLog:
    """Appends `{"step", "minutes", ...}` lines to a file; safe to reopen after an interruption."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, event: str, **values: Any) -> None:
        """Append one line; numbers keep four significant digits."""
        line = {"event": event, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        line |= {key: _short(value) for key, value in values.items()}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _short(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value
