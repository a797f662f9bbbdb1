"""Replies on disk."""

import pytest

from mova.endpoints.cache import FileCache, NoCache, request_sha256
from mova.endpoints.outcomes import SAID_BY_MODEL, Outcome, Reply, Usage

KEY = "ab" * 32
REPLY = Reply(Outcome.OK, "“Grüß Gott”, 你好", "", 0, "stop", Usage(7, 3), "model", "req", "p" * 64, 2, 1.5)


def test_a_reply_comes_back_and_cost_nothing(tmp_path):
    FileCache(tmp_path).put(KEY, REPLY)
    kept = FileCache(tmp_path).get(KEY)
    assert (kept.outcome, kept.text, kept.usage, kept.model) == (Outcome.OK, REPLY.text, REPLY.usage, "model")
    assert (kept.cached, kept.attempts, kept.seconds) == (True, 0, 0.0)
    assert FileCache(tmp_path).get("cd" * 32) is None


@pytest.mark.parametrize("outcome", Outcome)
def test_only_what_a_model_said_is_kept(tmp_path, outcome):
    FileCache(tmp_path).put(KEY, Reply(outcome, detail="x"))
    assert (FileCache(tmp_path).get(KEY) is not None) is (outcome in SAID_BY_MODEL)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"version": 99}', b"\xff\x00", b'{"version": 1, "outcome": "no"}']
)
def test_a_damaged_file_is_asked_anew(tmp_path, content):
    cache = FileCache(tmp_path)
    cache.put(KEY, REPLY)
    next(tmp_path.rglob("*.json")).write_bytes(content)
    assert cache.get(KEY) is None
    cache.put(KEY, REPLY)
    assert cache.get(KEY).text == REPLY.text
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_nothing_is_kept_where_nothing_shall_be():
    cache = NoCache()
    cache.put(KEY, REPLY)
    assert cache.get(KEY) is None


def test_a_request_is_known_by_all_that_is_sent():
    digest = request_sha256("chat", "m", {"a": 1, "b": [2]})
    assert digest == request_sha256("chat", "m", {"b": [2], "a": 1})
    others = [("image", "m", {"a": 1, "b": [2]}), ("chat", "n", {"a": 1, "b": [2]}), ("chat", "m", {"a": 1, "b": [3]})]
    assert digest not in {request_sha256(*other) for other in others}
