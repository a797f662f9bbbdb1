"""From the folder of a run to `report.html` in it."""

from __future__ import annotations

from pathlib import Path

from mova.curate.report.data import ReportData
from mova.curate.report.page import report_page
from mova.files.replacing import replacing


def write_page(path: Path, data: ReportData) -> None:
    """Write a report, complete or not at all.

    Raises:
        OSError: it cannot be written.
    """
    with replacing(path) as partial:
        partial.write_text(report_page(data), encoding="utf-8", newline="\n")
