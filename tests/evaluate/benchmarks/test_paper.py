"""The paper's figures beside ours."""

from dataclasses import replace

from mova.evaluate.benchmarks.paper import ELEVEN, METRICS, SET_SIZES, Setting, beside_paper
from mova.evaluate.results.derived import derived_scorers
from mova.evaluate.results.rows import Aggregation, Row
from mova.evaluate.stats import Estimate
from mova.scorers.base import Direction
from mova.scorers.registry import all_measures


def row(name, value, scored=600):
    mean = Estimate(value, None, None, scored)
    return Row(name, "s", "", Direction.HIGHER, "", Aggregation.ITEM, mean, 600, category_mean=mean)


def test_the_same_task_scale_and_sets_may_be_compared():
    setting = Setting(SET_SIZES, "image", 1.0, is_parity=True)
    found = {one.metric: one for one in beside_paper([row("desync", 0.5), row("imagebind", 0.3, 590)], setting)}
    assert tuple(found) == METRICS
    assert (found["DeSync"].ours, found["DeSync"].why_not) == (0.5, ())
    assert found["DeSync"].theirs == {
        "LTX-2": 0.451,
        "Ovi": 0.515,
        "WAN2.1 + MMAudio": 0.260,
        "MOVA-360p, bridge scale 1": 0.475,
        "MOVA-720p, bridge scale 1": 0.485,
    }
    assert found["IB"].why_not == ("590 of 600 clips have a value",)
    assert found["IS"].why_not == ("not measured here",)
    assert "WAN2.1 + MMAudio" not in found["cpCER"].theirs
    assert found["cpCER"].why_not[0] == "the paper's is over 27 clips with several speakers"


def test_the_figure_of_the_table_is_compared_whatever_stands_beside_it():
    setting = Setting(SET_SIZES, "image", 1.0, is_parity=True)
    shown = replace(row("av_align", 0.2), category_mean=Estimate(0.9, None, None, 600))
    found = {one.metric: one for one in beside_paper([shown, row("clap_score", 0.3)], setting)}
    assert (found["AV-Align"].ours, found["AV-Align"].why_not) == (0.2, ())
    assert found["AV-Align"].theirs == {"MOVA-360p, bridge scale 1": 0.238}
    assert found["CLAP"].theirs == {"MOVA-360p, bridge scale 1": 0.268}


def test_eleven_metrics_have_one_of_ours_each():
    known = {one.name for one in all_measures()} | set(derived_scorers())
    assert len(ELEVEN) == 11
    assert {name for ours in ELEVEN.values() for name in ours} <= known


def test_other_settings_are_told_as_reasons():
    setting = Setting({"keys": 3}, "text", 1.0, is_parity=False)
    found = {one.metric: one for one in beside_paper([row("dnsmos_p808", 3.0)], setting)}
    assert found["DNSMOS"].theirs == {"MOVA-360p, bridge scale 1": 3.767}
    assert found["DNSMOS"].why_not == (
        "the paper's is over Verse-Bench (set3: 100)",
        "scored by the rules of this package, not with `--parity mova`",
    )
