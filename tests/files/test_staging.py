"""Folders appear complete or not at all, with the user's modes; what a killed process left is removed."""

import os
import signal
import stat
import subprocess
import sys

import pytest

from mova.errors import ConfigError
from mova.files.staging import complete_or_absent, give_usual_mode

# Writes a file into the folder that is to be, says so, and waits.
WRITER = """
import sys, time
from pathlib import Path
from mova.files.staging import complete_or_absent, give_usual_mode
with complete_or_absent(Path(sys.argv[1])) as staging:
    (staging / "half").write_text("x")
    print("half", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def writer(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", WRITER, tmp_path / "target"], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "half\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_folder_appears_when_all_is_done(tmp_path):
    with complete_or_absent(tmp_path / "deep" / "target") as staging:
        (staging / "a").write_text("1")
        assert not (tmp_path / "deep" / "target").exists()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["target"]
    assert (tmp_path / "deep" / "target" / "a").read_text() == "1"


def test_nothing_is_left_of_a_failure(tmp_path):
    def fail():
        with complete_or_absent(tmp_path / "target") as staging:
            (staging / "a").write_text("1")
            raise RuntimeError("full")

    with pytest.raises(RuntimeError, match="full"):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077, 0o027])
def test_modes_are_what_the_umask_leaves(tmp_path, umask):
    before = os.umask(umask)
    try:
        with complete_or_absent(tmp_path / "target") as staging:
            (staging / "a").write_text("1")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "target").stat().st_mode) == 0o777 & ~umask
    assert stat.S_IMODE((tmp_path / "target" / "a").stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_private_file_gets_the_usual_mode(tmp_path, umask):
    (tmp_path / "a").write_text("1")
    (tmp_path / "a").chmod(0o600)
    before = os.umask(umask)
    try:
        give_usual_mode(tmp_path / "a")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~umask
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path, writer):
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert [path.name for path in tmp_path.iterdir()] != []
    assert not (tmp_path / "target").exists()
    with complete_or_absent(tmp_path / "target") as staging:
        (staging / "whole").write_text("1")
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_what_a_living_process_writes_stays(tmp_path, writer):
    with complete_or_absent(tmp_path / "target") as staging:
        others = [path for path in tmp_path.iterdir() if path != staging]
        assert len(others) == 1
        assert (others[0] / "half").exists()
    assert (others[0] / "half").exists()


def test_folders_of_the_user_that_look_like_leftovers_stay(tmp_path):
    keep = [tmp_path / ".target.mine.partial", tmp_path / ".other.01234567.partial"]
    for folder in keep:
        folder.mkdir()
    (tmp_path / ".target.01234567.partial").symlink_to(keep[0])
    with complete_or_absent(tmp_path / "target"):
        pass
    assert all(folder.is_dir() for folder in keep)
    assert (tmp_path / ".target.01234567.partial").is_symlink()


def test_a_target_that_was_made_meanwhile_is_not_replaced(tmp_path):
    def collide():
        with complete_or_absent(tmp_path / "target"):
            (tmp_path / "target").mkdir()
            (tmp_path / "target" / "theirs").write_text("1")

    with pytest.raises(ConfigError, match="must not exist yet"):
        collide()
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert (tmp_path / "target" / "theirs").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("1")
    with pytest.raises(ConfigError, match="cannot be written"), complete_or_absent(tmp_path / "file" / "target"):
        pass
