"""The window planner: what the paper's rules promise, for any footage."""

from bisect import bisect_right
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.curate.cut.windows import Footage, WindowRules, plan_windows, scenes_of
from mova.curate.records import WindowKind

SPEECH = {WindowKind.SINGLE_SPEECH, WindowKind.MULTI_SPEECH}
SINGLE = {WindowKind.SINGLE_SPEECH, WindowKind.SINGLE_SILENT}
SECOND = 1000


def steady(seconds, step=40, **known):
    return Footage(range(0, seconds * SECOND, step), ((0, seconds * SECOND),), **known)


def rules(length=Fraction(193 * SECOND, 24), **options):
    return WindowRules(length, 193, **options)


def spans(draw, end, most):
    edges = sorted(draw(st.sets(st.integers(0, end), max_size=2 * most)))
    return tuple(zip(edges[::2], edges[1::2], strict=False))


@st.composite
def footages(draw):
    steps = draw(st.lists(st.integers(1, 90), min_size=2, max_size=60))
    repeats = draw(st.integers(1, 20))
    frames, time = [], draw(st.integers(-500, 500))
    begin = time
    for step in steps * repeats:
        frames.append(time)
        time += step
    gaps = draw(st.booleans())
    middle = (begin + time) // 2
    parts = ((begin, middle), (middle + 7, time)) if gaps and middle + 7 < time else ((begin, time),)
    cuts = tuple(sorted(draw(st.sets(st.sampled_from(frames[1:]), max_size=12))))
    speech = tuple((a + begin, b + begin) for a, b in spans(draw, time - begin, 12))
    return Footage(frames, parts, cuts, speech)


WANTED = st.permutations(list(WindowKind)).flatmap(lambda kinds: st.integers(1, 4).map(lambda n: tuple(kinds[:n])))


@settings(max_examples=300)
@given(footages(), WANTED, st.fractions(Fraction(20), Fraction(900), max_denominator=24), st.integers(0, 3))
def test_windows_of_any_footage_keep_the_rules(footage, kinds, length, guard):
    wanted = WindowRules(length, 25, kinds, guard)
    windows = plan_windows(footage, wanted, "seed")
    assert windows == plan_windows(footage, wanted, "seed")
    assert [window.start for window in windows] == sorted(window.start for window in windows)
    for one, other in pairwise(windows):
        assert one.end <= other.start
    starts = [begin for begin, _ in footage.speech]
    for window in windows:
        assert window.kind in kinds
        assert window.end == window.start + length
        assert any(begin <= window.start and window.end <= end for begin, end in footage.parts)
        inside = [cut for cut in footage.cuts if window.start < cut < window.end]
        assert bool(inside) == (window.kind not in SINGLE)
        assert window.lower <= window.start <= window.upper
        if window.kind in SPEECH:
            own = bisect_right(starts, window.upper - 1)
            # The segment that the window belongs to begins in it, at the upper end of the range or after it.
            begin = next(start for start in starts[own:] if start >= window.upper)
            assert window.start <= begin < window.end
            if own:
                assert window.start >= footage.speech[own - 1][1]
                assert window.start >= begin - length / 2
        else:
            assert not any(begin < window.end and window.start < end for begin, end in footage.speech)


@pytest.mark.parametrize("seed", ["a", "b", "c"])
def test_a_window_begins_where_a_frame_begins(seed):
    footage = steady(60, speech=((3_013, 5_000), (20_007, 30_000), (40_001, 41_000)))
    for window in plan_windows(footage, rules(kinds=(WindowKind.SINGLE_SILENT,)), seed):
        assert window.start % 40 == 0


def test_the_first_segment_starts_its_window_and_later_ones_are_drawn_from_half_a_length_before():
    footage = steady(100, speech=((3_000, 5_000), (50_000, 52_000)))
    first, second = plan_windows(footage, rules(kinds=(WindowKind.SINGLE_SPEECH,)), "x")
    assert first.start == 3_000
    assert (second.lower, second.upper) == (45_980, 50_000)
    starts = {plan_windows(footage, rules(kinds=(WindowKind.SINGLE_SPEECH,)), str(seed))[1].start for seed in range(40)}
    assert len(starts) > 20
    assert min(starts) >= 45_980
    assert max(starts) <= 50_000


def test_the_first_window_begins_with_the_frame_that_is_shown_when_speech_begins():
    footage = steady(100, speech=((3_013, 5_000),))
    (first, *_) = plan_windows(footage, rules(kinds=(WindowKind.SINGLE_SPEECH,)), "x")
    assert first.start == 3_000


def test_after_a_window_the_first_segment_that_starts_behind_it_is_next():
    speech = tuple((begin, begin + 900) for begin in range(1_000, 90_000, 1_000))
    windows = plan_windows(steady(100, speech=speech), rules(kinds=(WindowKind.SINGLE_SPEECH,)), "x")
    for one, other in pairwise(windows):
        segment = next(begin for begin, _ in speech if begin > one.end)
        assert segment - 100 <= other.start <= segment


def test_single_scenes_leave_frames_alone_around_cuts():
    footage = steady(30, cuts=(10_000, 20_000))
    assert scenes_of(footage, 2) == [(0, 9_920), (10_080, 19_920), (20_080, 30_000)]
    windows = plan_windows(footage, rules(kinds=(WindowKind.SINGLE_SILENT,)), "x")
    assert len(windows) == 3


def test_several_scenes_are_kept_where_a_cut_is_seen_and_given_up_elsewhere():
    speech = ((1_000, 2_000), (30_000, 31_000))
    windows = plan_windows(steady(60, cuts=(5_000,), speech=speech), rules(kinds=(WindowKind.MULTI_SPEECH,)), "x")
    assert [window.start for window in windows] == [1_000]


def test_footage_without_speech_is_filled_from_end_to_end():
    windows = plan_windows(steady(100), rules(kinds=(WindowKind.SINGLE_SILENT,)), "x")
    assert len(windows) == 12


def test_kinds_take_footage_in_the_order_that_is_asked_for():
    footage = steady(20, cuts=(9_000,))
    one = plan_windows(footage, rules(kinds=(WindowKind.SINGLE_SILENT, WindowKind.MULTI_SILENT)), "x")
    other = plan_windows(footage, rules(kinds=(WindowKind.MULTI_SILENT, WindowKind.SINGLE_SILENT)), "x")
    assert {window.kind for window in one} >= {WindowKind.SINGLE_SILENT}
    assert other[0].kind is WindowKind.MULTI_SILENT or WindowKind.MULTI_SILENT in {window.kind for window in other}


def test_no_window_lies_across_a_gap_or_in_footage_that_is_too_short():
    footage = Footage(range(0, 20_000, 40), ((0, 8_000), (12_000, 20_000)))
    assert plan_windows(footage, rules(), "x") == ()
    assert plan_windows(Footage([], ()), rules(), "x") == ()


def test_few_windows_are_spread_over_the_source():
    windows = plan_windows(steady(200), rules(most=3), "x")
    assert len(windows) == 3
    assert windows[-1].start > 100_000


def test_a_first_window_of_speech_reaches_it_where_frames_are_far_apart():
    footage = Footage(frames=[0, 1, 22, 23], parts=((0, 44),), cuts=(), speech=((21, 22),))
    window = plan_windows(footage, WindowRules(Fraction(20), 20, (WindowKind.SINGLE_SPEECH,), 0), "seed")[0]
    assert window.start <= 21 < window.end
