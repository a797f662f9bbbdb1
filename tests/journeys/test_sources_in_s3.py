"""Sources in S3, from a real server: listed, hashed, cut; and whatever storage does is a row or a clear error."""

import hashlib
import json
import logging
from dataclasses import replace

import fsspec
import numpy as np
import pytest

from footage_kit import steady_ticks, write_video
from mova.curate.config.cut import CutSection
from mova.curate.config.source import SourceSection
from mova.curate.cut.listing import list_sources
from mova.curate.cut.stage import CutStage
from mova.curate.cut.storage import SCRATCH, StorageError, describe, fetched
from mova.curate.runner import run_all
from mova.curate.source_table import iter_sources
from mova.curate.tables import iter_clips
from mova.errors import ConfigError, DataError
from shared_curation import Here, toy_run
from storage_server import proxy_before, serve_storage

FORM = {"num_frames": 33, "width": 160, "height": 96, "preset": "ultrafast", "shots": "none", "speech": "none"}
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
ROOM = {"most_bytes": 1 << 30, "keep_free_bytes": 0}


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A film of two windows; its bytes."""
    path = tmp_path_factory.mktemp("film") / "a.mp4"
    ticks, base = steady_ticks(24, 3.0)
    frames = [np.full((96, 160, 3), 3 * index, np.uint8) for index in range(len(ticks))]
    write_video(path, frames, ticks, base, audio=np.random.default_rng(0).normal(0, 0.1, (1, 3 * 48_000)))
    return path.read_bytes()


@pytest.fixture(scope="module")
def servers():
    with serve_storage() as server, proxy_before(server) as proxy:
        yield server, proxy


@pytest.fixture
def storage(servers, film, monkeypatch):
    """A server with a bucket of two films, reached through a proxy that can fail; the names are those of AWS."""
    server, proxy = servers
    server.reset()
    proxy.reset()
    server.put("/films")
    server.put("/films/day/a.mp4", film)
    server.put("/films/day/deep/b.mp4", film + b"other")
    server.put("/films/day/notes.txt", b"x")
    for name in ("AWS_SESSION_TOKEN", "AWS_SKIP_SIGNATURE"):
        monkeypatch.delenv(name, raising=False)
    settings = {"ENDPOINT_URL": proxy.url, "ALLOW_HTTP": "true", "REGION": "us-east-1"}
    for name, value in {**settings, "ACCESS_KEY_ID": "AKIAKEY", "SECRET_ACCESS_KEY": "seKret"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    # Few tries, so that a test does not wait for ten.
    monkeypatch.setitem(fsspec.config.conf, "s3", {"retry_config": {"max_retries": 2}})
    forget_connections()
    yield server, proxy
    forget_connections()


def forget_connections():
    if "s3" in fsspec.registry:
        fsspec.get_filesystem_class("s3").clear_instance_cache()


def curate(output, attempts=1, **source):
    """Run all stages, the first one as it is; return the sources and the clips by name and state."""
    stage = CutStage(SourceSection(keep_free_gib=0.0, **source), CutSection(**FORM))
    run = toy_run(output, output, cut=stage, executor=Here(attempts))
    run_all(replace(run, sources=lambda: list_sources(stage.source)))
    sources = {source.uri.rpartition("/")[2]: source for source in iter_sources(output / "sources.parquet")}
    return sources, list(iter_clips(output / "clips.parquet"))


def test_sources_under_a_prefix_are_listed_hashed_and_cut(storage, film, tmp_path):
    sources, clips = curate(tmp_path, folder="s3://films/day")
    assert [(source.uri, str(source.state)) for source in sources.values()] == [
        ("s3://films/day/a.mp4", "kept"),
        ("s3://films/day/deep/b.mp4", "kept"),
    ]
    assert sources["a.mp4"].sha256 == hashlib.sha256(film).hexdigest()
    assert {clip.uri for clip in clips} == {source.uri for source in sources.values()}
    assert all((tmp_path / clip.path).is_file() for clip in clips)
    assert list((tmp_path / SCRATCH).iterdir()) == []


def test_a_list_in_storage_names_what_lies_beside_it_and_what_is_not_there_is_a_row(storage, tmp_path):
    server, _ = storage
    rows = [{"uri": "a.mp4"}, {"uri": "none.mp4"}, {"uri": "s3://nowhere/c.mp4"}, {"uri": "s3://films/day/deep/b.mp4"}]
    server.put("/films/day/list.jsonl", "\n".join(map(json.dumps, rows)).encode())
    sources, _ = curate(tmp_path, list_file="s3://films/day/list.jsonl")
    assert {name: str(source.state) for name, source in sources.items()} == {
        "a.mp4": "kept",
        "b.mp4": "kept",
        "none.mp4": "failed",
        "c.mp4": "failed",
    }
    assert sources["none.mp4"].reasons[0].startswith("storage: a source must be readable, got s3://films/day/none.mp4")
    assert "404 Not Found: NoSuchBucket: The specified bucket does not exist" in sources["c.mp4"].reasons[0]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"folder": "s3://nowhere"}, r"source\.folder must be a folder that can be read.*NoSuchBucket"),
        ({"list_file": "s3://films/none.csv"}, r"source\.list_file must be a list that can be read.*none\.csv"),
        ({"folder": "s3://films/none"}, "at least one source"),
    ],
)
def test_what_names_the_sources_must_be_there(storage, tmp_path, source, said):
    with pytest.raises((ConfigError, DataError), match=said):
        curate(tmp_path, **source)


def test_only_an_object_that_changed_is_cut_again(storage, film, tmp_path):
    server, proxy = storage
    before, _ = curate(tmp_path, folder="s3://films/day")
    proxy.reset()
    server.put("/films/day/a.mp4", film + b"!")
    server.remove("/films/day/notes.txt")
    after, clips = curate(tmp_path, folder="s3://films/day")
    assert {line for line in proxy.asked if line.startswith("GET") and "?" not in line} == {"GET /films/day/a.mp4"}
    assert after["b.mp4"] == before["b.mp4"]
    assert after["a.mp4"].sha256 == hashlib.sha256(film + b"!").hexdigest()
    assert {clip.source_id for clip in clips} == {source.source_id for source in after.values()}


@pytest.mark.parametrize("faults", [("503", "503"), ("break",), ("break", "503")])
def test_storage_that_fails_for_a_moment_changes_nothing(storage, film, tmp_path, faults):
    _, proxy = storage
    proxy.reset(*faults)
    with fetched("s3://films/day/a.mp4", tmp_path, "u", **ROOM) as copy:
        assert copy.path.read_bytes() == film
    assert proxy.faults == []


@pytest.mark.parametrize("fault", ["503", "break"])
def test_storage_that_fails_each_time_is_a_row_and_the_run_goes_on(storage, tmp_path, fault):
    _, proxy = storage
    proxy.reset(fault, always=True, only="/films/day/a.mp4")
    sources, clips = curate(tmp_path, attempts=2, folder="s3://films/day")
    (reason,) = sources["a.mp4"].reasons
    assert reason.startswith("storage: a source must be readable, got s3://films/day/a.mp4: Generic S3 error")
    # No times and counts: the same fault gives the same row.
    assert " retries" not in reason
    assert {clip.uri for clip in clips} == {"s3://films/day/deep/b.mp4"}
    assert list((tmp_path / SCRATCH).iterdir()) == []
    proxy.reset()
    assert str(curate(tmp_path, folder="s3://films/day")[0]["a.mp4"].state) == "failed"


def test_storage_that_fails_longer_than_its_client_waits_is_asked_again(storage, tmp_path):
    _, proxy = storage
    proxy.reset(*["503"] * 4, only="/films/day/a.mp4")
    sources, _ = curate(tmp_path, attempts=2, folder="s3://films/day")
    assert {str(source.state) for source in sources.values()} == {"kept"}


@pytest.mark.parametrize("wrong", ["key", "secret"])
def test_wrong_keys_are_an_error_that_does_not_tell_them(storage, tmp_path, monkeypatch, caplog, wrong):
    server, _ = storage
    key, secret = server.keys()
    given = {"key": ("AKIAWRONG", secret), "secret": (key, "wr0ngKey")}[wrong]
    for name, value in zip(KEYS, given, strict=True):
        monkeypatch.setenv(name, value)
    forget_connections()
    with caplog.at_level(logging.DEBUG), pytest.raises(ConfigError, match="403 Forbidden") as told:
        curate(tmp_path, folder="s3://films/day")
    (tmp_path / "list.csv").write_text("uri\ns3://films/day/a.mp4\ns3://films/day/deep/b.mp4\n")
    (tmp_path / "out").mkdir()
    sources, _ = curate(tmp_path / "out", list_file=str(tmp_path / "list.csv"))
    assert {str(source.state) for source in sources.values()} == {"failed"}
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    said = str(told.value) + caplog.text + str([source.reasons for source in sources.values()])
    for word in (*given, key, secret):
        assert word not in said
        assert word.encode() not in written


def test_the_right_keys_open_it(storage, monkeypatch):
    server, _ = storage
    for name, value in zip(KEYS, server.keys(), strict=True):
        monkeypatch.setenv(name, value)
    forget_connections()
    assert len(list(list_sources(SourceSection(folder="s3://films/day")))) == 2


@pytest.mark.parametrize("way", ["environment", "fsspec"])
def test_what_is_public_needs_no_keys(storage, film, monkeypatch, way):
    server, proxy = storage
    server.put("/films/day/free.mp4", film, acl="public-read")
    signed = describe("s3://films/day/free.mp4")
    for name in KEYS:
        monkeypatch.delenv(name)
    if way == "environment":
        monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    else:
        monkeypatch.delenv("AWS_ENDPOINT_URL")
        monkeypatch.setitem(fsspec.config.conf, "s3", {"endpoint_url": proxy.url, "skip_signature": True})
    forget_connections()
    assert describe("s3://films/day/free.mp4") == signed
    with pytest.raises(StorageError, match="403 Forbidden"):
        describe("s3://films/day/a.mp4")
