"""Tables of a curation, made by hand: rows in, batches of pyarrow out."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from mova.curate.report.data import Gate, RunFacts
from mova.pages.charts import Line
from mova.scorers.base import Direction, Measure

SCORES = ("silence_share", "bandwidth_hz", "imagebind")
MEASURES = (
    Measure("silence_share", "share", Direction.LOWER, "Share of the clip that is silent."),
    Measure("bandwidth_hz", "Hz", Direction.HIGHER, "Highest frequency that is heard."),
    Measure("imagebind", "", Direction.HIGHER, "How well audio and video fit."),
)
GATES = (
    Gate("silence_share", "silence_share < 0.8", {"silence_share": (Line(0.8, False, "< 0.8"),)}),
    Gate("bandwidth_hz", "bandwidth_hz > 1000", {"bandwidth_hz": (Line(1000.0, True, "> 1000"),)}),
    Gate("imagebind", "imagebind >= 0.2", {"imagebind": (Line(0.2, True, ">= 0.2"),)}),
)
FACTS = RunFacts(MEASURES, GATES, versions={"mova": "0.1.0"}, recipe={"verdicts": {"preset": "paper"}})
NO_WEIGHTS = "skipped: weights imagebind.pth, from its authors, licence none stated"

_TEXT, _WORDS = pa.string(), pa.list_(pa.string())
_CAPTION = pa.struct([("text", _TEXT), ("outcome", _TEXT), ("model", _TEXT)])
CLIPS = pa.schema(
    [
        *((name, _TEXT) for name in ("clip_id", "source_id", "uri", "licence", "kind", "path")),
        ("columns", pa.map_(_TEXT, _TEXT)),
        ("start_s", pa.float64()),
        ("num_frames", pa.int32()),
        *((name, pa.float64()) for name in SCORES),
        ("absent", pa.map_(_TEXT, _TEXT)),
        ("tags", _WORDS),
        ("captions", pa.struct([(part, _CAPTION) for part in ("visual", "speech", "audio", "merged")])),
        ("marks", _WORDS),
        ("state", _TEXT),
        ("reasons", _WORDS),
        ("gates_not_applied", _WORDS),
        ("stage", _TEXT),
    ]
)
SOURCES = pa.schema([("uri", _TEXT), ("duration_s", pa.float64()), ("state", _TEXT), ("reasons", _WORDS)])


def clip_id(number: int) -> str:
    """Return an id as clips have it."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))


def clip_row(number: int, **changes: Any) -> dict[str, Any]:
    """Return the row of a clip that is kept and captioned, with changes."""
    row = {
        "clip_id": clip_id(number),
        "source_id": "s",
        "uri": f"day/{number // 10}.mov",
        "licence": "CC0",
        "columns": [],
        "kind": "single_speech",
        "path": f"clips/{clip_id(number)[:2]}/{clip_id(number)}.mp4",
        "start_s": float(number),
        "num_frames": 193,
        "silence_share": 0.1,
        "bandwidth_hz": 8000.0,
        "imagebind": None,
        "absent": [("imagebind", NO_WEIGHTS)],
        "tags": ["speech"],
        "captions": {"merged": caption(f"A man says {number}.")},
        "marks": [],
        "state": "kept",
        "reasons": [],
        "gates_not_applied": ["imagebind"],
        "stage": "caption",
    }
    assert set(changes) <= set(row), changes
    return row | changes


def rejected_row(number: int, *reasons: str, **changes: Any) -> dict[str, Any]:
    """Return the row of a clip that does not pass some gates."""
    told = [f"{reason}: must be something else" for reason in reasons]
    return clip_row(number, state="rejected", stage="verdicts", reasons=told, captions=None, **changes)


def caption(text: str, outcome: str = "ok", model: str = "offline") -> dict[str, str]:
    """Return a caption as a table holds it."""
    return {"text": text, "outcome": outcome, "model": model}


def source_row(uri: str, duration_s: float = 100.0, state: str = "kept", reasons: Sequence[str] = ()) -> dict[str, Any]:
    """Return the row of a source."""
    return {"uri": uri, "duration_s": duration_s, "state": state, "reasons": list(reasons)}


def clip_batches(rows: Sequence[Mapping[str, Any]], size: int = 7) -> list[pa.RecordBatch]:
    """Return rows of clips as batches of so many."""
    return pa.Table.from_pylist(list(rows), CLIPS).to_batches(max_chunksize=size)


def source_batches(rows: Sequence[Mapping[str, Any]]) -> list[pa.RecordBatch]:
    """Return rows of sources as batches."""
    return pa.Table.from_pylist(list(rows), SOURCES).to_batches()
