"""The page of an evaluation."""

from evaluated_clips import made_up, plan_of
from mova.evaluate.page.page import evaluation_page
from mova.evaluate.results.aggregate import aggregate
from mova.evaluate.results.paired import compare

PLAN = plan_of("spectrum")


def test_metrics_categories_reasons_and_clips_have_their_sections():
    results = aggregate(made_up(PLAN, [1.0, 3.0, None], ["a", "a", "b"]), PLAN)
    page = evaluation_page(results, {"command": "</script><b>"}, {})
    for part in (
        "Metrics",
        "By category",
        "Not scored",
        "All clips",
        "2 of 3",
        "failed: made up",
        "No clip can be played",
    ):
        assert part in page
    assert "Compared with another evaluation" not in page
    assert "</script><b>" not in page


def test_a_comparison_has_its_section():
    results = aggregate(made_up(PLAN, [1.0, 3.0]), PLAN)
    theirs = {clip.id: clip.scores for clip in aggregate(made_up(PLAN, [0.0, 1.0]), PLAN).clips}
    page = evaluation_page(results, {}, {}, compare(results, theirs))
    assert "Compared with another evaluation" in page
    assert "Every clip has a value of every metric." in page
