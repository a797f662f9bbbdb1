"""Files of jobs: whole or not there, under names of ours, here and in other storage."""

import errno
import os
from pathlib import Path

import pytest

from mova.errors import ConfigError
from mova.serve.artifacts import Artifacts, DiskFullError

JOB = f"video_{'0' * 32}"


@pytest.fixture(params=["folder", "memory"])
def artifacts(request, tmp_path):
    return Artifacts(str(tmp_path / "data") if request.param == "folder" else f"memory://{tmp_path.name}")


def names(artifacts):
    root = artifacts._root
    return {place.removeprefix(root).lstrip("/") for place in artifacts._system.find(root)}


def test_a_file_is_written_replaced_read_in_parts_and_removed(artifacts):
    name = artifacts.made_by(JOB, 3, "video", "mp4")
    assert name == f"jobs/{JOB}/3_video.mp4"
    assert not artifacts.exists(name)
    assert artifacts.read_all(name) is None
    artifacts.put(name, b"first")
    artifacts.put(name, b"0123456789")
    assert (artifacts.exists(name), artifacts.size(name)) == (True, 10)
    assert b"".join(artifacts.read(name, 2, 5)) == b"234"
    assert b"".join(artifacts.read(name, 8)) == b"89"
    assert b"".join(artifacts.read(name, 8, 3)) == b""
    with artifacts.local(name) as path:
        assert path.read_bytes() == b"0123456789"
    artifacts.delete(name)
    artifacts.delete(name)
    assert names(artifacts) == set()
    for ask in (artifacts.size, lambda one: list(artifacts.read(one)), lambda one: artifacts.local(one).__enter__()):
        with pytest.raises(FileNotFoundError):
            ask(name)


def test_a_file_of_this_machine_is_copied(artifacts, tmp_path):
    (tmp_path / "source").write_bytes(b"x" * 100)
    name = artifacts.new_upload("png")
    artifacts.put_file(name, tmp_path / "source")
    assert artifacts.size(name) == 100
    assert names(artifacts) == {name}


def test_all_files_of_a_job_go_at_once(artifacts):
    kept = artifacts.new_upload("png")
    for name in (kept, artifacts.checkpoint(JOB), artifacts.made_by(JOB, 1, "video", "mp4")):
        artifacts.put(name, b"x")
    artifacts.delete_job(JOB)
    artifacts.delete_job(JOB)
    assert names(artifacts) == {kept}


def test_what_former_attempts_left_is_pruned(artifacts):
    kept = artifacts.made_by(JOB, 2, "video", "mp4")
    for name in (kept, artifacts.checkpoint(JOB), artifacts.made_by(JOB, 1, "video", "mp4")):
        artifacts.put(name, b"x")
    artifacts.prune(JOB, {kept})
    artifacts.prune(f"video_{'1' * 32}", set())
    assert names(artifacts) == {kept}


@pytest.mark.parametrize(
    "name", ["../secret.txt", "/etc/passwd", "uploads/a.png", f"jobs/{JOB}/../x.png", f"jobs/{JOB}/x", "", "a\0.png"]
)
def test_only_names_that_were_made_here_are_names(artifacts, name):
    for ask in (artifacts.exists, artifacts.delete, artifacts.path, lambda one: artifacts.put(one, b"")):
        with pytest.raises(ConfigError, match="name of an artifact"):
            ask(name)
    for make in (lambda: artifacts.new_upload("../x"), lambda: artifacts.delete_job("..")):
        with pytest.raises(ConfigError, match="name of an artifact"):
            make()


def test_what_nobody_knows_is_swept_once_it_is_old(artifacts):
    other = f"video_{'1' * 32}"
    kept = [artifacts.new_upload("png"), artifacts.checkpoint(JOB)]
    lost = [artifacts.new_upload("png"), artifacts.checkpoint(other)]
    for name in (*kept, *lost):
        artifacts.put(name, b"x")
    assert artifacts.sweep({JOB}, {kept[0]}, before_s=0.0) == 0
    assert artifacts.sweep({JOB}, {kept[0]}, before_s=1e12) == 2
    assert names(artifacts) == set(kept)


def test_files_that_were_begun_are_swept_too(tmp_path):
    artifacts = Artifacts(str(tmp_path))
    begun = tmp_path / "jobs" / JOB / ".1_video.mp4.abcd.partial"
    begun.parent.mkdir(parents=True)
    begun.write_bytes(b"x")
    assert artifacts.sweep(set(), set(), before_s=1e12) == 1
    assert not begun.parent.exists()


def test_a_full_disk_leaves_what_was_there(artifacts, monkeypatch, tmp_path):
    name = artifacts.checkpoint(JOB)
    artifacts.put(name, b"before")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("shutil.copyfile", full)
        (tmp_path / "source").write_bytes(b"after")
        with pytest.raises(DiskFullError, match="no room"):
            artifacts.put_file(name, tmp_path / "source")
    assert artifacts.read_all(name) == b"before"
    assert names(artifacts) == {name}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is full")
def test_a_folder_that_cannot_be_written_is_refused_at_once():
    with pytest.raises(ConfigError, match="must be writable"):
        Artifacts("/dev/full/data")
    with pytest.raises(ConfigError, match="a URL that fsspec knows"):
        Artifacts("nothing-of-the-kind://a")


def test_only_a_folder_knows_its_paths_and_its_room(tmp_path):
    here, elsewhere = Artifacts(str(tmp_path)), Artifacts("memory://room")
    name = here.new_upload("wav")
    assert here.path(name) == tmp_path / name
    assert here.free_bytes() > 0
    assert elsewhere.path(name) is elsewhere.free_bytes() is None
