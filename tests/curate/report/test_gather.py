"""From tables to a report: everything is counted once, in memory that does not grow."""

import dataclasses
import tracemalloc
from itertools import chain, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curated_tables import (
    FACTS,
    NO_WEIGHTS,
    caption,
    clip_batches,
    clip_id,
    clip_row,
    rejected_row,
    source_batches,
    source_row,
)
from mova.curate.records import State
from mova.curate.report.data import Reasons, Tally
from mova.curate.report.gather import gather, reason_name
from mova.errors import StageError

SOURCES = [
    source_row("a.mov"),
    source_row("b.mov", 0.0, "failed", ["corrupt_media: no frame could be decoded"]),
    source_row("c.mov", 50.0, "rejected", ["no_audio: there is no audio stream"]),
]


def report(rows, sources=SOURCES, facts=FACTS):
    return gather(source_batches(sources), lambda _: iter(clip_batches(rows)), facts)


def test_every_stage_is_counted_from_where_each_clip_ended():
    data = report(
        [
            *(clip_row(number) for number in range(4)),
            rejected_row(4, "silence_share"),
            rejected_row(5, "silence_share", "bandwidth_hz"),
            clip_row(6, stage="cut", state="failed", reasons=["verification: 192 frames"], path=""),
            clip_row(7, stage="score", state="failed", reasons=["decoder_crashed: it ended"]),
            clip_row(8, state="failed", reasons=["endpoint_timeout: no reply"]),
        ]
    )
    assert data.tallies == {
        "sources": Tally(3, 1, 1, 1),
        "cut": Tally(9, 8, 0, 1),
        "score": Tally(8, 7, 0, 1),
        "verdicts": Tally(7, 5, 2, 0),
        "caption": Tally(5, 4, 0, 1),
    }
    assert data.seconds["sources"] == 150
    assert data.seconds["cut"] == pytest.approx(8 * 193 / 24)
    assert data.seconds["verdicts"] == pytest.approx(5 * 193 / 24)
    assert data.share("verdicts") == pytest.approx(5 * 193 / 24 / 150)
    assert {(one.stage, one.reason, one.number) for one in data.failures} == {
        ("sources", "corrupt_media", 1),
        ("cut", "verification", 1),
        ("score", "decoder_crashed", 1),
        ("caption", "endpoint_timeout", 1),
    }
    assert data.source_reasons == (
        Reasons("sources", "no_audio", 1, (("c.mov", "no_audio: there is no audio stream"),)),
    )


def test_a_run_that_has_only_cut_has_no_counts_of_later_stages():
    data = report([clip_row(1, stage="cut"), clip_row(2, stage="cut")])
    assert list(data.tallies) == ["sources", "cut"]
    assert "verdicts" not in data.seconds
    assert data.share("verdicts") is None


def test_clips_that_wait_for_a_caption_are_told_of():
    data = report([clip_row(1), clip_row(2, stage="verdicts", captions=None)])
    assert data.tallies["verdicts"].kept == 2
    assert data.tallies["caption"] == Tally(1, 1)
    assert data.waiting == 1


def test_gates_are_counted_alone_first_and_only():
    data = report(
        [
            rejected_row(1, "silence_share"),
            rejected_row(2, "silence_share", "bandwidth_hz"),
            rejected_row(3, "bandwidth_hz"),
            rejected_row(4, "bandwidth_hz", "near_duplicates"),
            rejected_row(5, "near_duplicates"),
            clip_row(6),
        ]
    )
    found = {one.gate.name: (one.alone, one.first, one.only) for one in data.gates}
    assert found == {"silence_share": (2, 2, 1), "bandwidth_hz": (3, 2, 1), "imagebind": (0, 0, 0)}
    assert data.other_reasons == (("near_duplicates", 2),)
    assert data.idle_gates == (("imagebind", 6),)


def test_scores_are_spread_and_what_is_missing_says_why():
    data = report([clip_row(number, silence_share=number / 100) for number in range(50)])
    silence, _, imagebind = data.spreads
    assert silence.num_values == sum(silence.counts) == 50
    assert (silence.least, silence.most) == (0.0, 0.49)
    assert silence.edges[-1] > 0.8, "the threshold is in sight"
    assert (imagebind.num_values, imagebind.absences) == (0, ((NO_WEIGHTS, 50),))


def test_kinds_marks_and_captions_are_counted():
    data = report(
        [
            clip_row(1, kind="multi_speech", marks=["merge_failed"]),
            clip_row(2, kind="single_non_speech", captions={"visual": caption("x"), "merged": caption("", "timeout")}),
            rejected_row(3, "silence_share", kind="multi_speech"),
        ]
    )
    assert data.kinds == {"multi_speech": Tally(2, 1, 1), "single_non_speech": Tally(1, 1)}
    assert data.marks == (("merge_failed", 1),)
    assert data.caption_outcomes == (
        ("merged", "offline", "ok", 1),
        ("merged", "offline", "timeout", 1),
        ("visual", "offline", "ok", 1),
    )
    assert data.seconds["cut_speech"] == pytest.approx(2 * 193 / 24)


def test_examples_are_of_every_kind_and_every_reason_and_have_a_file():
    kinds = ("single_speech", "multi_speech", "single_non_speech")
    rows = [clip_row(number, kind=kinds[number % 3]) for number in range(60)]
    rows += [rejected_row(number, ("silence_share", "bandwidth_hz")[number % 2]) for number in range(60, 90)]
    rows += [rejected_row(99, "near_duplicates"), rejected_row(100, "rare", path="")]
    data = report(rows)
    assert len(data.kept) == 8
    assert {one.kind for one in data.kept} == set(kinds)
    assert {reason_name(one.reasons[0]) for one in data.rejected} == {
        "silence_share",
        "bandwidth_hz",
        "near_duplicates",
    }
    assert all(one.path for one in (*data.kept, *data.rejected))
    # By the least ids of each: any, and the same whatever the order of the rows.
    assert min(clip_id(number) for number in range(0, 60, 3)) in {one.clip_id for one in data.kept}
    assert report(rows[::-1]).kept == data.kept


def test_the_size_of_batches_does_not_matter():
    rows = [clip_row(number, silence_share=number / 7) for number in range(20)]
    rows += [rejected_row(number, "bandwidth_hz") for number in range(20, 30)]
    found = [
        gather(source_batches(SOURCES), lambda _, size=size: iter(clip_batches(rows, size)), FACTS)
        for size in (1, 7, 1000)
    ]
    assert found[0] == found[1] == found[2]


STATES = st.sampled_from(
    [
        *(("cut", state) for state in ("failed", "rejected")),
        ("score", "failed"),
        *(("verdicts", state) for state in ("kept", "rejected", "failed")),
        *(("caption", state) for state in ("kept", "failed")),
    ]
)


@given(st.lists(STATES, max_size=30))
def test_whatever_became_of_clips_the_counts_add_up(ends):
    data = report(
        [clip_row(number, stage=stage, state=state, reasons=["x: y"]) for number, (stage, state) in enumerate(ends)]
    )
    assert all(tally.adds_up for tally in data.tallies.values())
    if ends:
        assert data.tallies["cut"].came_in == len(ends)
    assert sum(one.number for one in data.failures) == sum(state == State.FAILED for _, state in ends) + 1


def test_a_table_that_does_not_say_what_the_run_said_is_an_error():
    facts = dataclasses.replace(FACTS, tallies={"cut": Tally(3, 3)})
    with pytest.raises(StageError, match=r"the summary of cut says 3 in, 3 kept.*and the tables have 2 in"):
        report([clip_row(1), clip_row(2)], facts=facts)
    facts = dataclasses.replace(FACTS, tallies={"cut": Tally(2, 2)})
    assert report([clip_row(1), clip_row(2)], facts=facts)


def test_a_clip_of_no_stage_is_an_error():
    with pytest.raises(StageError, match="the table has 2 clips, and 1 of them belong to a stage"):
        report([clip_row(1), clip_row(2, stage="elsewhere")])


def test_memory_does_not_grow_with_the_table():
    def peak(times):
        batches = clip_batches([*(clip_row(n) for n in range(300)), rejected_row(300, "silence_share")], 100)
        tracemalloc.start()
        gather(source_batches(SOURCES), lambda _: chain.from_iterable(repeat(batches, times)), FACTS)
        taken = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return taken

    peak(1)
    # After as many as a sample holds.
    assert peak(90) < 1.2 * peak(30)


def test_an_unbounded_number_of_reasons_is_bounded():
    data = report([rejected_row(number, f"reason {number}") for number in range(400)])
    assert len(data.other_reasons) <= 201
    assert sum(number for _, number in data.other_reasons) == 400


@pytest.mark.parametrize(
    ("reason", "name"),
    [("a: b: c", "a"), ("plain", "plain"), (": x", "no reason was noted"), ("", "no reason was noted")],
)
def test_a_reason_is_named_by_its_beginning(reason, name):
    assert reason_name(reason) == name
