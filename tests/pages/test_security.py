"""Policies: nothing is loaded or run but what the page was written with."""

import base64
import hashlib

from mova.pages.security import SECURITY_HEADERS, file_policy, server_policy, source_hash


def directives(policy):
    return {name: sources for name, *sources in (part.split() for part in policy.split("; "))}


def test_a_file_loads_videos_and_nothing_else():
    found = directives(file_policy(["p {}"], []))
    assert found["default-src"] == ["'none'"]
    assert found["script-src"] == ["'none'"]
    assert found["style-src"] == [source_hash("p {}")]
    assert found["media-src"] == ["'self'", "file:"]
    assert found["img-src"] == ["'self'", "file:"]
    # A browser complains of it in a meta element.
    assert "frame-ancestors" not in found


def test_a_server_is_not_framed_and_answers_its_own_pages():
    found = directives(server_policy(scripts=["1"]))
    assert found["default-src"] == found["frame-ancestors"] == found["style-src"] == ["'none'"]
    assert found["connect-src"] == found["form-action"] == ["'self'"]
    assert found["script-src"] == [source_hash("1")]


def test_no_policy_allows_inline_code_or_other_hosts():
    for policy in (file_policy(["a"], ["b"]), server_policy(["a"], ["b"])):
        assert not {"unsafe", "http", "*", "data:"} & set(policy.replace("-", " ").split())
        assert "unsafe" not in policy
        assert "http" not in policy


def test_a_text_is_named_by_its_digest():
    digest = base64.b64encode(hashlib.sha256("é".encode()).digest()).decode()
    assert source_hash("é") == f"'sha256-{digest}'"


def test_headers_are_those_of_every_reply():
    assert SECURITY_HEADERS["X-Content-Type-Options"] == "nosniff"
    assert all("\n" not in value for value in SECURITY_HEADERS.values())
