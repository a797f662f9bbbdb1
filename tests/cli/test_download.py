"""`mova weights download` is a command of its own file; what it does is tested with a server in tests/generate."""

from mova.cli.app import main


def test_a_name_that_is_no_hub_id_is_refused(capsys):
    assert main(["weights", "download", "no hub id"]) == 2
    assert "cannot be looked up" in capsys.readouterr().err
