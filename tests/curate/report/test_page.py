"""The page of a report; how it looks and plays in a browser: tests/journeys/test_report_in_browser.py."""

import dataclasses

from curated_tables import FACTS, clip_batches, clip_row, rejected_row, source_batches, source_row
from mova.curate.report.gather import gather
from mova.curate.report.page import report_page


def page_of(rows, facts=FACTS, sources=None):
    return report_page(
        gather(
            source_batches([source_row("a.mov")] if sources is None else sources),
            lambda _: iter(clip_batches(rows)),
            facts,
        )
    )


def test_a_report_has_the_papers_figures_beside_its_own():
    page = page_of([*(clip_row(number) for number in range(5)), rejected_row(5, "silence_share")])
    assert "84.57 %" in page
    assert "26.39 %" in page
    assert "58.75 %" in page
    assert "48.25 %" in page, "6 clips of 193 / 24 s out of 100 s"
    assert "Nothing failed" not in page
    assert "No source and no clip failed." in page
    assert "1 source, 100 s of footage; 5 clips kept." in page
    assert "1 file of footage came in" in page


def test_a_report_of_nothing_is_a_page_too():
    for sources in ([], [source_row("a.mov", 0.0, "failed", ["corrupt_media: x"])]):
        page = page_of([], sources=sources)
        assert "No clip that was kept has a file." in page
        assert "0 clips kept" in page


def test_a_gate_that_did_not_apply_says_why():
    page = page_of([clip_row(1)])
    assert "Gates that did not apply" in page
    assert "<p><bdi>skipped: weights imagebind.pth" in page
    facts = dataclasses.replace(FACTS, measures=())
    assert "No scorer of this run measures it." in page_of([clip_row(1)], facts)


def test_failures_name_files():
    sources = [source_row("good.mov"), source_row("<bad>.mov", 0.0, "failed", ["corrupt_media: no frame"])]
    page = page_of([clip_row(1)], sources=sources)
    assert "&lt;bad&gt;.mov" in page
    assert "corrupt_media: no frame" in page


def test_settings_and_versions_are_there():
    page = page_of([clip_row(1)])
    assert "&quot;preset&quot;: &quot;paper&quot;" in page
    assert "<dt>mova</dt>" in page


def test_clips_without_captions_are_told_of():
    page = page_of([clip_row(1), clip_row(2, stage="verdicts", captions=None)])
    assert "1 clip that is kept has no caption yet" in page


def test_the_same_tables_make_the_same_page():
    rows = [clip_row(number) for number in range(5)]
    assert page_of(rows) == page_of(rows)


def test_a_page_stays_small_however_many_clips_there_are():
    rows = [clip_row(number, marks=[f"mark {number}"]) for number in range(300)]
    rows += [rejected_row(number, f"reason {number}") for number in range(300, 600)]
    assert len(page_of(rows)) < 300_000
