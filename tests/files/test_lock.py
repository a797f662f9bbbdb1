"""A locked folder: who comes second is told who was first, and a crash sets it free."""

import os
import socket
import stat
import subprocess
import sys
import threading

import pytest

from mova.errors import ConfigError, DataError
from mova.files.lock import LOCK_FILE, OWNER_FILE, lock_folder

HOLD = """
import sys, time
from pathlib import Path
from mova.files.lock import lock_folder
with lock_folder(Path(sys.argv[1]), "run folder"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds a folder; killed at the end."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_who_comes_second_is_told_of_the_other_process(holder, tmp_path):
    with pytest.raises(DataError) as caught, lock_folder(tmp_path / "run", "cache", error=DataError):
        pass
    text = str(caught.value)
    assert f"process {holder.pid} on {socket.gethostname()}" in text
    assert str(tmp_path / "run") in text
    assert "the cache" in text


def test_a_killed_process_leaves_the_folder_free(holder, tmp_path):
    holder.kill()
    holder.wait()
    with lock_folder(tmp_path / "run", "run folder"):
        assert (tmp_path / "run" / LOCK_FILE).exists()


def test_a_lock_is_free_after_the_block_and_after_an_error_in_it(tmp_path):
    with pytest.raises(KeyError), lock_folder(tmp_path, "cache"):
        raise KeyError
    with lock_folder(tmp_path, "cache"):
        assert (tmp_path / OWNER_FILE).exists()
    assert not (tmp_path / OWNER_FILE).exists()


def test_a_second_holder_in_the_same_process_is_refused_or_waits(tmp_path):
    with lock_folder(tmp_path, "cache"):
        for wait_s in (0.0, 0.1):
            with pytest.raises(ConfigError, match=f"process {os.getpid()}"), lock_folder(tmp_path, "x", wait_s=wait_s):
                pass
        released, entered = threading.Event(), threading.Event()

        def second():
            with lock_folder(tmp_path, "cache", wait_s=60):
                assert released.is_set()
                entered.set()

        waiting = threading.Thread(target=second)
        waiting.start()
        released.set()
    waiting.join(60)
    assert entered.is_set()


@pytest.mark.parametrize("owner", ["", "[]", "{}", "nul", '{"pid": {}}', "[" * 4000])
def test_an_unreadable_note_of_the_holder_does_not_hide_that_there_is_one(tmp_path, owner):
    with lock_folder(tmp_path, "cache"):
        (tmp_path / OWNER_FILE).write_text(owner)
        with pytest.raises(ConfigError, match="another process"), lock_folder(tmp_path, "cache"):
            pass


def test_a_folder_that_cannot_be_made_or_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="can be written"), lock_folder(tmp_path / "file", "run folder"):
        pass
    with (
        pytest.raises(ConfigError, match="can be written"),
        lock_folder(tmp_path / "file" / "inside", "run folder"),
    ):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_named(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with pytest.raises(ConfigError, match="can be written"), lock_folder(tmp_path, "cache"):
            pass
    finally:
        tmp_path.chmod(stat.S_IRWXU)
