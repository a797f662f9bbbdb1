"""Logs of a command: one handler whatever is called, ranks in front, libraries silent."""

import logging

import pytest

from mova.cli.terminal.log import configure_logging, place_in_torchrun, shape_lines


@pytest.fixture(autouse=True)
def untouched_logging(monkeypatch):
    root, own = logging.getLogger(), logging.getLogger("mova")
    handlers, level = list(root.handlers), own.level
    yield
    root.handlers[:] = handlers
    own.setLevel(level)
    logging.captureWarnings(False)


def test_a_line_is_written_once_with_its_rank(capsys):
    configure_logging(logging.INFO)
    configure_logging(logging.INFO, rank=3)
    logging.getLogger("mova.test").info("weights are read")
    logging.getLogger("mova.test").debug("not shown")
    assert capsys.readouterr().err == "[rank 3] INFO mova.test: weights are read\n"


def test_the_place_is_what_torchrun_says(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert place_in_torchrun() is None
    for name, value in (("TORCHELASTIC_RUN_ID", "x"), ("RANK", "2"), ("WORLD_SIZE", "4")):
        monkeypatch.setenv(name, value)
    assert place_in_torchrun() == (2, 4)


def test_lines_may_have_another_form_with_names_of_their_own(capsys):
    class Names(logging.Filter):
        def filter(self, record):
            vars(record)["own"] = "mine"
            return True

    configure_logging(logging.INFO, None)
    shape_lines("%(own)s %(message)s", Names())
    logging.getLogger("mova.x").warning("said")
    assert capsys.readouterr().err == "mine said\n"
    configure_logging(logging.INFO, None)
