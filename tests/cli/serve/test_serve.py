"""`mova serve` from the command line."""

import logging

import pytest

from mova.cli.app import main
from mova.serve import run


@pytest.fixture
def told(monkeypatch):
    found = []

    def serve(settings, on_ready):
        found.append(settings)
        on_ready("http://127.0.0.1:1/")
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "serve", serve)
    return found


def test_options_win_over_the_file_and_the_end_is_no_failure(told, tmp_path, capsys):
    file = tmp_path / "serve.yaml"
    file.write_text("model: mova-tiny\nport: 9000\nspeed: fast\n")
    options = ["--port", "0", "--data", str(tmp_path / "data"), "--quantize", "int8"]
    assert main(["serve", "--settings", str(file), *options]) == 0
    (settings,) = told
    assert (settings.port, settings.speed, settings.quantize, settings.model) == (0, "fast", "int8", "mova-tiny")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("http://127.0.0.1:1/\n", "ended\n")


def test_lines_of_log_name_the_request(told, tmp_path, capsys):
    assert main(["serve", "--data", str(tmp_path)]) == 0
    logging.getLogger("mova.serve").warning("something")
    assert "WARNING mova.serve [-]: something" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--port", "70000"], "nearest is 65535"),
        (["--speed", "fas"], "nearest is fast"),
        (["--settings", "none.yaml"], "settings must be a file that exists"),
    ],
)
def test_wrong_options_are_said_at_once(told, options, text, capsys):
    assert main(["serve", *options]) == 2
    assert text in capsys.readouterr().err
    assert told == []


def test_others_are_not_let_in_without_keys_unless_it_is_said(tmp_path, capsys):
    assert main(["serve", "--host", "0.0.0.0", "--data", str(tmp_path / "x")]) == 2
    assert "needs API keys" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
