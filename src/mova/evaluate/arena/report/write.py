"""The folder of a report: `report.json`, `report.md` and `report.html`, each whole or as it was."""

from __future__ import annotations

import json
from pathlib import Path

from mova.errors import ConfigError
from mova.evaluate.arena.ratings.summary import ArenaSummary
from mova.evaluate.arena.report.markdown import summary_markdown
from mova.evaluate.arena.report.page import arena_page
from mova.files.replacing import replacing


def write_report(folder: Path, summary: ArenaSummary) -> None:
    """Write a report.

    Args:
        folder: made where it is missing.
        summary: what the arena says.

    Raises:
        ConfigError: the folder cannot be written.
    """
    texts = {
        "report.json": json.dumps(summary.to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        "report.md": f"# {summary.title or 'Arena'}\n\n{summary_markdown(summary)}",
        "report.html": arena_page(summary),
    }
    for name, text in texts.items():
        try:
            with replacing(folder / name) as partial:
                partial.write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            raise ConfigError(f"report must be a folder that can be written, got {folder}: {error}") from error
