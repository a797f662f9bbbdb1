"""Rows as JSON."""

import json

from mova.evaluate.results.rows import Aggregation, ClipRow, Row
from mova.evaluate.stats import Estimate
from mova.scorers.base import Direction


def test_rows_are_json_values():
    estimate = Estimate(1.0, 0.5, 1.5, 3)
    row = Row("x", "s", "", Direction.HIGHER, "x", Aggregation.ITEM, estimate, 4, by_category={"a": estimate})
    read = json.loads(json.dumps(row.to_json(), allow_nan=False))
    assert read["estimate"] == {"value": 1.0, "low": 0.5, "high": 1.5, "num_clips": 3}
    assert read["direction"] == "higher"
    assert read["category_mean"] is None
    clip = ClipRow("a", "", "", "", {"x": 1.0}, {"y": "failed"})
    assert json.loads(json.dumps(clip.to_json()))["scores"] == {"x": 1.0}
