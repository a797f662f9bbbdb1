"""The table of the ablations: generated clips, and the cross-modal dependence metric, which needs none."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from variants import Sampling

FIRST_LINE = "<!-- tables: written by benchmarks/ablations -->"
LAST_LINE = "<!-- end of tables -->"
FIGURES = ("recall", "precision", "offset_median_abs_ms", "pitch_right", "colour_right")
HEAD = ("events with a sound", "sounds with an event", "offset, ms", "note right", "colour right")


def write_report(text: str, root: Path, samplings: Sequence[Sampling], command: str) -> str:
    """Return a document with its tables renewed, or the tables alone where it has no place for them."""
    tables = "\n".join((FIRST_LINE, *_tables(root, samplings, command), LAST_LINE))
    before, found, rest = text.partition(FIRST_LINE)
    if not found:
        return tables + "\n"
    return before + tables + rest.partition(LAST_LINE)[2]


def _tables(root: Path, samplings: Sequence[Sampling], command: str) -> list[str]:
    day = f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}"
    versions = ", ".join(f"{name} {version(name)}" for name in ("mova", "torch", "diffusers"))
    lines = [f"{day}; {versions}; `{command}`", "", "Generated clips:", ""]
    lines += [f"| variant | {' | '.join(HEAD)} |", f"| --- |{' --- |' * len(HEAD)}"]
    chance: list[str] = []
    for sampling in samplings:
        report = json.loads(
            (root / sampling.variant / f"toyworld_{sampling.name}" / "report.json").read_text(encoding="utf-8")
        )
        overall, number = report["overall"], report["num_clips"]
        lines.append(f"| {sampling.words} | {' | '.join(_cell(overall[name]) for name in FIGURES)} |")
        if sampling.name == "default" and sampling.variant == "full":
            shares = " | ".join(_cell(report["chance"][name]) for name in ("recall", "precision"))
            ceiling = " | ".join(_cell(report["ceiling"][name]) for name in FIGURES)
            chance = [f"| chance | {shares} | - | - | - |", f"| autoencoders (ceiling) | {ceiling} |"]
    lines += [*chance, "", f"{number} held-out clips in each row; means with bootstrap 95 % intervals.", ""]
    lines += ["Gauge: error of one modality at noise level 0.8, given the other one clean, wrong over right:", ""]
    lines += ["| variant | steps | minutes | sound, wrong / right picture | picture, wrong / right sound |"]
    lines += ["| --- | --- | --- | --- | --- |"]
    for sampling in samplings:
        if sampling.name == "default":
            lines.append(_dependence_row(sampling.words, _last_validation(root / sampling.variant)))
    return lines


def _cell(estimate: dict[str, Any]) -> str:
    if estimate["value"] is None:
        return "-"
    digits = 1 if estimate["value"] > 1 else 2
    return f"{estimate['value']:.{digits}f} [{estimate['low']:.{digits}f}, {estimate['high']:.{digits}f}]"


def _last_validation(folder: Path) -> dict[str, Any]:
    lines = (folder / "ablation_joint" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    events: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [event for event in events if event["event"] == "validate"][-1]


def _dependence_row(words: str, figures: dict[str, Any]) -> str:
    pairs = (
        ("audio_error_given_wrong_video", "audio_error_given_right_video"),
        ("video_error_given_wrong_audio", "video_error_given_right_audio"),
    )
    cells = [
        f"{figures[wrong]:.3f} / {figures[right]:.3f} = {figures[wrong] / figures[right]:.2f}" for wrong, right in pairs
    ]
    return f"| {words} | {figures['step']} | {figures['minutes']:.1f} | {' | '.join(cells)} |"
