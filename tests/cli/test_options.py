"""Values that several verbs read alike."""

import pytest

from mova.cli.app import main


@pytest.mark.parametrize(("verb", "option"), [(("generate",), "--no-compile"), (("bench",), "--no-compile")])
def test_options_of_several_verbs_are_offered_by_each(verb, option, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main([*verb, "--help"]) == 0
    assert option in capsys.readouterr().out
