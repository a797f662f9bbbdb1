"""What the MOVA paper reports (arXiv 2602.08794, tables 4 to 6), and where it may stand beside a result of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mova.evaluate.results.rows import Row

ELEVEN: Final[Mapping[str, tuple[str, ...]]] = {
    "amplitude, LUFS": ("amplitude", "loudness_lufs"),
    "AV-Align": ("av_align",),
    "DNSMOS": ("dnsmos_p808",),
    "DeSync": ("desync",),
    "IB": ("imagebind",),
    "IS": ("inception_score",),
    "CLAP": ("clap_score",),
    "VideoReward": ("video_reward_overall",),
    "LSE-D": ("lse_d",),
    "LSE-C": ("lse_c",),
    "cpCER": ("cpcer",),
}
"""The eleven metrics of the paper's evaluation, and ours for each."""
_COLUMNS: Final = ("IS", "DNSMOS", "DeSync", "IB", "LSE-D", "LSE-C", "cpCER")
METRICS: Final = (*_COLUMNS, "AV-Align", "CLAP")
"""Columns of the tables in their order, and what the paper's evaluation toolkit states beside them."""

OURS: Final[Mapping[str, str]] = {
    "IS": "inception_score",
    "DNSMOS": "dnsmos_p808",
    "DeSync": "desync",
    "IB": "imagebind",
    "LSE-D": "lse_d",
    "LSE-C": "lse_c",
    "cpCER": "cpcer",
    "AV-Align": "av_align",
    "CLAP": "clap_score",
}
"""Metric with figures of the paper to ours."""


@dataclass(frozen=True)
class PaperRow:
    """A row of a table.

    Attributes:
        table: its number in the paper.
        model: as the paper calls it.
        task: what is given besides the text: "image" or "text".
        bridge_scale: cross-modal guidance scale; None where the model has none.
        values: by metric; those that the paper leaves out are not there.
    """

    table: int
    model: str
    task: str
    bridge_scale: float | None
    values: Mapping[str, float]


def _row(table: int, model: str, task: str, scale: float | None, *values: float | None) -> PaperRow:
    found = {name: value for name, value in zip(_COLUMNS, values, strict=True) if value is not None}
    return PaperRow(table, model, task, scale, found)


PAPER_ROWS: Final = (
    _row(4, "LTX-2", "image", None, 3.066, 3.635, 0.451, 0.213, 7.261, 6.109, 0.220),
    _row(4, "Ovi", "image", None, 3.680, 3.516, 0.515, 0.190, 7.468, 6.378, 0.436),
    _row(4, "WAN2.1 + MMAudio", "image", None, 4.036, None, 0.260, 0.317, None, None, None),
    _row(4, "MOVA-360p", "image", 1.0, 4.269, 3.797, 0.475, 0.286, 8.098, 6.278, 0.177),
    PaperRow(4, "MOVA-360p", "image", 1.0, {"AV-Align": 0.238, "CLAP": 0.268}),
    _row(4, "MOVA-360p", "image", 3.5, 4.169, 3.674, 0.351, 0.315, 7.004, 7.800, 0.247),
    _row(4, "MOVA-720p", "image", 1.0, 3.936, 3.671, 0.485, 0.277, 8.048, 6.593, 0.149),
    _row(4, "MOVA-720p", "image", 3.5, 3.814, 3.751, 0.370, 0.297, 7.094, 7.452, 0.218),
    _row(5, "MOVA-360p", "image", 2.0, 4.222, 3.748, 0.421, 0.305, 7.323, 7.331, 0.185),
    _row(5, "MOVA-360p", "image", 3.0, 4.319, 3.686, 0.388, 0.312, 7.014, 7.774, 0.188),
    _row(5, "MOVA-360p", "image", 4.0, 4.225, 3.631, 0.365, 0.316, 6.957, 7.891, 0.264),
    _row(6, "MOVA-360p", "text", 1.0, 4.370, 3.767, 0.441, 0.281, 8.362, 5.830, 0.188),
)
SET_SIZES: Final = {"set1": 205, "set2": 295, "set3": 100}
"""Items of each set of Verse-Bench, which the tables are over."""


@dataclass(frozen=True)
class Setting:
    """How clips were made and scored, as far as it decides over a comparison with the paper.

    Attributes:
        categories: number of clips of each category of the benchmark.
        task: "image" or "text".
        bridge_scale: cross-modal guidance scale.
        is_parity: whether the published quirks were reproduced (`--parity mova`).
    """

    categories: Mapping[str, int]
    task: str
    bridge_scale: float | None
    is_parity: bool


@dataclass(frozen=True)
class BesidePaper:
    """A metric of ours beside the paper's rows.

    Attributes:
        metric: as the paper calls it.
        ours: the figure of the table, which is the mean of the categories' where the quirks of the reference evaluation
            are reproduced; None where there is none.
        theirs: by row, as "MOVA-360p, bridge scale 1": those of the same task, and of the same bridge scale where the
            model has one.
        why_not: reasons why the two must not be compared; none where they may.
    """

    metric: str
    ours: float | None
    theirs: Mapping[str, float]
    why_not: tuple[str, ...]


def beside_paper(rows: Sequence[Row], setting: Setting) -> tuple[BesidePaper, ...]:
    """Return the paper's figures beside ours, with the reasons where they must not be compared.

    Args:
        rows: of an evaluation.
        setting: how its clips were made and scored.
    """
    by_name = {row.name: row for row in rows}
    found = []
    for metric in METRICS:
        row = by_name.get(OURS[metric])
        ours = None if row is None else row.estimate.value
        theirs = {_told(one): one.values[metric] for one in PAPER_ROWS if metric in one.values and _fits(one, setting)}
        found.append(BesidePaper(metric, ours, theirs, tuple(_why_not(metric, row, setting))))
    return tuple(found)


def _fits(row: PaperRow, setting: Setting) -> bool:
    return row.task == setting.task and row.bridge_scale in (None, setting.bridge_scale)


def _told(row: PaperRow) -> str:
    return row.model if row.bridge_scale is None else f"{row.model}, bridge scale {row.bridge_scale:g}"


def _why_not(metric: str, row: Row | None, setting: Setting) -> list[str]:
    why = []
    wanted = {"set3": SET_SIZES["set3"]} if metric in ("DNSMOS", "LSE-D", "LSE-C") else dict(SET_SIZES)
    if metric == "cpCER":
        if setting.categories.get("multi-speaker") != 27:
            why.append("the paper's is over 27 clips with several speakers")
    elif any(setting.categories.get(name) != size for name, size in wanted.items()):
        sizes = ", ".join(f"{name}: {size}" for name, size in wanted.items())
        why.append(f"the paper's is over Verse-Bench ({sizes})")
    if not setting.is_parity:
        why.append("scored by the rules of this package, not with `--parity mova`")
    if row is None or row.estimate.value is None:
        why.append("not measured here")
    elif row.estimate.num_clips < row.num_total:
        why.append(f"{row.estimate.num_clips} of {row.num_total} clips have a value")
    return why
