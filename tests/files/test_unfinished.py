"""Nothing that is temporary stays, whatever ends the work on it."""

import os

import pytest

from mova.files.unfinished import remove_unfinished, temporary_folder, unfinished


@pytest.mark.parametrize("kind", ["file", "folder", "nothing", "renamed"])
@pytest.mark.parametrize("ends_by", [None, KeyboardInterrupt, ValueError])
def test_what_a_block_makes_goes_with_it(tmp_path, kind, ends_by):
    def work():
        with unfinished(tmp_path / "made") as path:
            if kind == "folder":
                (path / "inside").mkdir(parents=True)
            elif kind != "nothing":
                path.write_text("half")
            if kind == "renamed":
                path.replace(tmp_path / "whole")
            if ends_by is not None:
                raise ends_by

    if ends_by is None:
        work()
    else:
        with pytest.raises(ends_by):
            work()
    assert [path.name for path in tmp_path.iterdir()] == (["whole"] if kind == "renamed" else [])


def test_what_no_block_could_remove_is_removed_at_the_end(tmp_path):
    block = unfinished(tmp_path / "made")
    block.__enter__().write_text("half")
    pid = os.fork()
    if pid == 0:
        remove_unfinished()
        os._exit(0)
    os.waitpid(pid, 0)
    assert (tmp_path / "made").exists(), "a forked process removed what is not its own"
    remove_unfinished()
    assert not (tmp_path / "made").exists()


def test_a_temporary_folder_is_for_the_user_alone_and_goes(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with temporary_folder("mova-") as folder:
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o077 == 0
        (folder / "part").write_text("half")
    assert list(tmp_path.iterdir()) == []
