"""`mova serve keys` from the command line."""

import pytest

from mova.cli.app import main
from mova.serve.access.keys import Keys


@pytest.fixture
def run(tmp_path, capsys):
    def call(*words, code=0):
        assert main(["serve", "keys", *words, "--data", str(tmp_path)]) == code
        return capsys.readouterr()

    return call


def test_a_key_is_made_shown_once_listed_and_revoked(run, tmp_path):
    secret = run("create", "ann", "--queued", "3").out.strip()
    assert Keys(tmp_path / "keys.json").find(secret).quota.queued == 3
    ruling = run("create", "bob", "--admin").out.strip()
    assert Keys(tmp_path / "keys.json").find(ruling).is_admin
    listed = run("list").out
    assert [line.split("\t")[1] for line in listed.splitlines()] == ["ann", "bob"]
    assert "queued 3" in listed
    assert secret not in listed
    assert "revoked ann" in run("revoke", "ann").out
    assert "revoked 2" in run("list").out
    assert Keys(tmp_path / "keys.json").find(secret) is None


def test_what_is_wrong_is_said(run):
    run("create", "ann")
    assert "in use" in run("create", "ann", code=2).err
    assert "nearest is 1" in run("create", "eve", "--queued", "0", code=2).err
    assert "one in use (ann)" in run("revoke", "nobody", code=2).err
