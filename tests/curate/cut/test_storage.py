"""Sources here and in other storage: digests, copies for the time of a block, and storage that fails."""

import hashlib
import os

import fsspec
import pytest

from mova.curate.cut.storage import SCRATCH, StorageError, describe, fetched, local_path, remove_scratch, walk
from mova.curate.folder import OutputFolder

CONTENT = os.urandom(100_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
ROOM = {"most_bytes": 1 << 30, "keep_free_bytes": 0}


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    system.store.clear()
    with system.open("/films/a.mp4", "wb") as file:
        file.write(CONTENT)
    yield "memory://films/a.mp4"
    system.store.clear()


def test_a_local_file_is_read_where_it_is(tmp_path):
    path = tmp_path / "-ein Fïlm mit Leerzeichen.mp4"
    path.write_bytes(CONTENT)
    for uri in (str(path), f"file://{path}"):
        assert local_path(uri) == path
        with fetched(uri, tmp_path / "out", "u", **ROOM) as source:
            assert (source.path, source.sha256) == (path, DIGEST)
    assert not (tmp_path / "out").exists()


def test_a_remote_file_is_a_copy_for_the_time_of_the_block(tmp_path, memory):
    with fetched(memory, tmp_path, "u", **ROOM) as source:
        assert source.path.read_bytes() == CONTENT
        assert (source.path.suffix, source.path.parent, source.sha256) == (".mp4", tmp_path / SCRATCH, DIGEST)
    assert list((tmp_path / SCRATCH).iterdir()) == []


@pytest.mark.parametrize("uri", ["{tmp}/none.mp4", "{tmp}", "memory://none.mp4", "nowhere://a.mp4"])
def test_what_cannot_be_had_says_why(tmp_path, uri):
    with pytest.raises(StorageError, match="a source") as told:
        describe(uri.format(tmp=tmp_path))
    assert not told.value.may_pass


def test_what_storage_says_is_told_without_times_keys_and_the_rest_of_a_reply(memory, monkeypatch):
    from fsspec.implementations.memory import MemoryFileSystem

    replies = {
        "Error performing GET http://h/b in 4.6s, after 10 retries, max_retries: 10, retry_timeout: 180s  - Server "
        "returned non-2xx status code: 503 Service Unavailable: \n\nDebug source: x": (
            "Error performing GET http://h/b  - Server returned non-2xx status code: 503 Service Unavailable",
            True,
        ),
        'status code: 403 Forbidden: <?xml version="1.0"?><Error><Code>SignatureDoesNotMatch</Code><Message>Wrong.'
        "</Message><AWSAccessKeyId>AKIAKEY</AWSAccessKeyId></Error>": (
            "status code: 403 Forbidden: SignatureDoesNotMatch: Wrong.",
            False,
        ),
        "Error performing PUT http://169.254.169.254/latest/api/token in 9.2ms - refused": (
            "no keys are in the environment, and this machine has no role; set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true for what is public",
            True,
        ),
        "": ("RuntimeError", True),
    }
    for reply, (said, may_pass) in replies.items():

        def fail(*_, reply=reply, **__):
            raise RuntimeError(reply)

        monkeypatch.setattr(MemoryFileSystem, "info", fail)
        with pytest.raises(StorageError) as told:
            describe(memory)
        assert str(told.value) == f"a source must be readable, got {memory}: {said}"
        assert told.value.may_pass is may_pass


def test_what_is_too_large_is_refused_before_it_is_copied(tmp_path, memory):
    with (
        pytest.raises(StorageError, match="at most 10 bytes"),
        fetched(memory, tmp_path, "u", most_bytes=10, keep_free_bytes=0),
    ):
        pass
    with (
        pytest.raises(OSError, match="may be used") as told,
        fetched(memory, tmp_path, "u", most_bytes=1 << 40, keep_free_bytes=1 << 60),
    ):
        pass
    # The run ends, and goes on when there is room: it is not the source that failed.
    assert OutputFolder(tmp_path).is_at_fault(told.value)


def test_storage_that_fails_in_the_middle_leaves_no_copy(tmp_path, memory, monkeypatch):
    from fsspec.implementations.memory import MemoryFile

    def fail(*_):
        raise TimeoutError("gone")

    monkeypatch.setattr(MemoryFile, "read", fail)
    with pytest.raises(StorageError, match="gone") as told, fetched(memory, tmp_path, "u", **ROOM):
        pass
    assert told.value.may_pass
    assert list((tmp_path / SCRATCH).iterdir()) == []


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"
    path.write_bytes(CONTENT)
    first = describe(str(path))
    path.write_bytes(CONTENT + b"more")
    told = iter([first])
    monkeypatch.setattr("mova.curate.cut.storage.describe", lambda _: next(told, first))
    with pytest.raises(StorageError, match="must not change"), fetched(str(path), tmp_path, "u", **ROOM):
        pass


def test_a_file_that_changes_or_leaves_before_it_was_worked_on_is_refused(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(CONTENT)
    with pytest.raises(StorageError, match="must not change") as told, fetched(str(path), tmp_path, "u", **ROOM):
        path.write_bytes(CONTENT + b"more")
    assert told.value.may_pass
    with pytest.raises(StorageError, match="must be there") as told, fetched(str(path), tmp_path, "u", **ROOM):
        path.unlink()
    assert not told.value.may_pass


def test_a_remote_folder_is_walked_in_order_without_hidden_files(memory):
    system = fsspec.filesystem("memory")
    for name in ("/films/b/c.mp4", "/films/.hidden.mp4", "/films/.git/x.mp4"):
        with system.open(name, "wb") as file:
            file.write(b"x")
    found = {uri: stored.size_bytes for uri, stored in walk("memory://films")}
    assert found == {"memory:///films/a.mp4": 100_000, "memory:///films/b/c.mp4": 1}


def test_copies_of_processes_that_were_killed_can_be_removed(tmp_path):
    (tmp_path / SCRATCH).mkdir()
    (tmp_path / SCRATCH / "left.mp4").write_bytes(b"x")
    remove_scratch(tmp_path)
    remove_scratch(tmp_path / "none")
    assert list((tmp_path / SCRATCH).iterdir()) == []
