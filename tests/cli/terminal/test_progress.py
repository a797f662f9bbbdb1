"""The bar of jobs that count."""

import pytest

from mova.cli.terminal import progress
from mova.cli.terminal.progress import StageBar, TextBars, counting_bar


def test_the_bar_keeps_stdout_free(capsys):
    with counting_bar("clips", 3) as advance:
        for _ in range(3):
            advance()
    assert capsys.readouterr().out == ""


def test_an_error_passes_through():
    with pytest.raises(ZeroDivisionError), counting_bar("clips", 3):
        raise ZeroDivisionError


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_where_stderr_is_a_file_counted_work_says_now_and_then_how_far_it_is(capsys, clock):
    with counting_bar("clips", 4) as advance:
        for _ in range(4):
            clock[0] += 6.0
            advance()
    assert capsys.readouterr().err.splitlines() == ["clips: 50 %, about 12 s left"]


def test_short_work_writes_nothing_into_a_file(capsys):
    with counting_bar("clips", 1) as advance:
        advance()
    assert capsys.readouterr().err == ""


def test_time_before_the_first_byte_of_the_weights_does_not_count_in_what_is_left(capsys, clock):
    with StageBar() as bar:
        bar.show("loading", 0, 1)
        clock[0] += 20.0
        bar.show("loading", 10, 100)
        clock[0] += 10.0
        bar.show("loading", 60, 100)
    assert capsys.readouterr().err.splitlines() == ["loading: 10 %", "loading: 60 %, about 8 s left"]


def test_a_stage_that_is_done_is_not_said_to_have_time_left(capsys, clock):
    with StageBar() as bar:
        bar.show("decoding", 0, 1)
        clock[0] += 20.0
        bar.show("decoding", 13, 13)
    assert capsys.readouterr().err == ""


def test_lines_of_stages_tell_their_text_and_the_time_that_is_left(capsys, clock):
    for says_left, told in ((True, "cut 2/4 1 clips/s, about 12 s left"), (False, "cut 2/4 1 clips/s")):
        with TextBars(says_left=says_left) as bars:
            for done in range(5):
                bars.show("cut", done, 4, f"{done // 2} clips/s")
                clock[0] += 6.0
        assert capsys.readouterr().err.splitlines() == ["cut 0/4 0 clips/s", told, "cut 4/4 2 clips/s"]
