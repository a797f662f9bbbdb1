"""From the folder of a run to `report.html` in it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from mova.curate.report.data import ReportData
from mova.curate.report.page import report_page
from mova.files.unfinished import unfinished


def write_page(path: Path, data: ReportData) -> None:
    """Write a report, complete or not at all.

    Raises:
        OSError: it cannot be written.
    """
    with unfinished(path.with_name(f".{path.name}.{secrets.token_hex(8)}")) as partial:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            file.write(report_page(data))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
