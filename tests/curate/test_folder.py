"""Files of an output folder appear complete or not at all, and errors say whose they are."""

import contextlib
import errno

import pytest

from mova.curate.folder import OutputFolder
from mova.errors import ConfigError, DataError


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


@pytest.mark.parametrize("name", ["tmp", "clips", "report.html", "export"])
def test_what_no_run_has_made_is_neither_written_over_nor_removed(tmp_path, name):
    folder = OutputFolder(tmp_path)
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine").write_text("mine")
    with pytest.raises(ConfigError, match=f"has '{name}' and no recipe.json"):
        folder.check_own()
    folder.recipe.write_text("{}")
    folder.check_own()


def test_a_folder_with_other_things_or_one_that_a_run_began_is_taken(tmp_path):
    folder = OutputFolder(tmp_path / "new")
    folder.check_own()
    (tmp_path / "new").mkdir()
    (folder.root / "films").mkdir()
    folder.check_own()
    (folder.root / ".lock").touch()
    folder.prepare()
    folder.check_own()


def test_a_link_in_place_of_temporary_files_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine").write_text("mine")
    folder = OutputFolder(tmp_path / "out")
    folder.root.mkdir()
    folder.temporary.symlink_to(tmp_path / "elsewhere")
    folder.prepare()
    assert (tmp_path / "elsewhere" / "mine").read_text() == "mine"
    assert not folder.temporary.is_symlink()
