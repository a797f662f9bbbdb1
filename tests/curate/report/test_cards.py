"""Cards."""

from curated_tables import FACTS, MEASURES
from mova.curate.records import State
from mova.curate.report.cards import example_card, spread_card
from mova.curate.report.data import Example, ReportData, ScoreSpread
from mova.pages.charts import Line

DATA = ReportData(FACTS, {}, {})
CLIP = Example("0b6f", "clips/0b/0b6f.mp4", "a/b.mov", "multi_speech", 61.0, State.REJECTED, ("silence_share: 0.9",))


def test_a_clip_plays_and_says_what_became_of_it():
    card = example_card(CLIP, DATA).markup
    assert '<video src="./clips/0b/0b6f.mp4"' in card
    assert 'aria-label="rejected clip, b.mov at 1:01.0"' in card
    assert "silence_share: 0.9" in card
    assert "multi speech" in card


def test_what_strangers_wrote_stays_text():
    evil = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'
    clip = Example("i", f"{evil}.mp4", f"{evil}.mov", evil, 0.0, State.KEPT, (evil,), (evil,), (evil,), {}, {"x": evil})
    card = example_card(clip, DATA).markup
    assert "<script" not in card
    assert "<img" not in card


def test_a_path_that_leads_out_is_no_player():
    for path in ("/etc/x.mp4", "../x.mp4"):
        card = example_card(Example("i", path, "u", "k", 0.0, State.KEPT), DATA).markup
        assert "<video" not in card
        assert "outside of the output folder" in card


def test_a_long_caption_folds():
    clip = Example("i", "a.mp4", "u", "k", 0.0, State.KEPT, captions={"merged": "word " * 100})
    assert "Whole caption" in example_card(clip, DATA).markup
    short = Example("i", "a.mp4", "u", "k", 0.0, State.KEPT, captions={"visual": "A box."})
    assert "Whole caption" not in example_card(short, DATA).markup


def test_a_score_says_its_unit_direction_and_meaning():
    spread = ScoreSpread(
        MEASURES[1], 3, (0.0, 1.0, 2.0), (1, 2), 0.2, 1.1, 1.9, (Line(1.0, True, "> 1"),), (("failed: x", 2),)
    )
    card = spread_card(spread).markup
    assert "bandwidth_hz (Hz)" in card
    assert "Highest frequency that is heard; higher is better." in card
    assert "3 clips: 0.2 to 1.9, median 1.1" in card
    assert "2 clips without a value" in card
