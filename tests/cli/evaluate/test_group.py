"""`mova evaluate` and its commands."""

from mova.cli.app import main


def test_help_names_the_other_commands(capsys):
    assert main(["evaluate", "--help"]) == 0
    text = capsys.readouterr().out
    assert "CLIPS" in text
    assert "toyworld" in text
    assert "scorers" in text
