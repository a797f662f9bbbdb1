"""Files of an output folder appear complete or not at all, and errors say whose they are."""

import contextlib
import errno

import pytest

from mova.curate.folder import OutputFolder
from mova.errors import DataError


def test_a_file_takes_its_name_when_it_is_complete(tmp_path):
    folder = OutputFolder(tmp_path)
    target = folder.rows("cut", "abcd")
    with folder.replacing(target) as partial:
        partial.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    with contextlib.suppress(RuntimeError), folder.replacing(target) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert target.read_text() == "new"
    assert list(folder.temporary.iterdir()) == []


def test_what_a_killed_run_was_writing_is_gone(tmp_path):
    folder = OutputFolder(tmp_path)
    folder.prepare()
    (folder.temporary / "half").write_text("x")
    folder.prepare()
    assert list(folder.temporary.iterdir()) == []


def test_all_units_of_a_source_are_forgotten(tmp_path):
    folder = OutputFolder(tmp_path)
    for unit in ("ab1", "ab1-00000", "ab2"):
        folder.write_json(folder.manifest("score", unit), {})
    folder.forget("score", "ab1")
    assert [path.name for path in folder.manifest("score", "ab2").parent.iterdir()] == ["ab2.json"]


def test_an_error_of_the_folder_is_told_from_one_of_a_source(tmp_path):
    folder = OutputFolder(tmp_path / "out")
    assert folder.is_at_fault(OSError(errno.ENOSPC, "No space left on device"))
    assert folder.is_at_fault(PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "out" / "x")))
    assert not folder.is_at_fault(FileNotFoundError(errno.ENOENT, "No such file", str(tmp_path / "in" / "x")))
    assert not folder.is_at_fault(ConnectionError("gone"))


def test_a_full_disk_says_what_to_do(tmp_path):
    folder = OutputFolder(tmp_path)
    with pytest.raises(DataError, match="make room and run the same command again"), folder.must_hold():
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(ConnectionError), folder.must_hold():
        raise ConnectionError
