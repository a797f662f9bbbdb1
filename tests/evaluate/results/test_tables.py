"""The table in Markdown and CSV."""

import csv
import io

from evaluated_clips import made_up, plan_of
from mova.evaluate.clips.item import ClipItem
from mova.evaluate.measure.runner import Measured
from mova.evaluate.results.aggregate import aggregate
from mova.evaluate.results.paired import compare
from mova.evaluate.results.tables import clips_csv, paired_markdown, table_csv, table_markdown

PLAN = plan_of("spectrum")


def test_the_table_says_figure_interval_counts_and_reasons():
    text = table_markdown(aggregate(made_up(PLAN, [1.0, 3.0, None]), PLAN))
    assert "| bandwidth_hz (Hz) | 2 | 1 to 3 | higher | 2 of 3 | 2 | - | mean over clips |" in text
    assert "- failed: made up (1 of 3 clips): bandwidth_hz, spectral_bandwidth_hz" in text


def test_csv_has_a_row_for_each_metric_and_category():
    results = aggregate(made_up(PLAN, [1.0, 3.0], ["=a", "b"]), PLAN)
    rows = list(csv.DictReader(io.StringIO(table_csv(results))))
    assert [(row["metric"], row["category"], row["value"]) for row in rows[:4]] == [
        ("bandwidth_hz", "", "2.0"),
        ("bandwidth_hz", "mean of categories", "2.0"),
        ("bandwidth_hz", "'=a", "1.0"),
        ("bandwidth_hz", "b", "3.0"),
    ]


def test_clips_are_rows_and_no_cell_is_a_formula():
    measured = [
        Measured(ClipItem(one.item.id, None, '=HYPERLINK("x")', "a,b\n"), one.findings)
        for one in made_up(PLAN, [1.0, None])
    ]
    rows = list(csv.DictReader(io.StringIO(clips_csv(aggregate(measured, PLAN)))))
    assert [row["bandwidth_hz"] for row in rows] == ["1.0", ""]
    assert rows[0]["prompt"] == '\'=HYPERLINK("x")'
    assert rows[0]["category"] == "a,b\n"


def test_a_comparison_is_a_table():
    results = aggregate(made_up(PLAN, [1.0, 3.0]), PLAN)
    theirs = {clip.id: clip.scores for clip in aggregate(made_up(PLAN, [0.0, 1.0]), PLAN).clips}
    assert "| bandwidth_hz | 1.5 | 1 to 2 | 2 | 100 % | higher |" in paired_markdown(compare(results, theirs))
