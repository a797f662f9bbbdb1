"""The server over its socket: one for all tests."""

import http.client
import json

import pytest

from arena_kit import MODELS, copy_arena, serving
from mova.evaluate.arena.voting import Rules


class Client:
    def __init__(self, port, secret=None):
        self._port, self._cookie = port, f"arena_rater={secret}" if secret else ""
        self.heard = b""

    def ask(self, method, path, value=None, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=600)
        given = {"Content-Type": "application/json", **headers}
        if self._cookie:
            given["Cookie"] = self._cookie
        sent = body if body is not None else None if value is None else json.dumps(value).encode()
        connection.request(method, path, sent, given)
        reply = connection.getresponse()
        content = reply.read()
        self.heard += content + str(reply.getheaders()).encode()
        connection.close()
        return reply.status, reply, json.loads(content) if content[:1] == b"{" else content

    def vote(self, ballot, overall="left", **changes):
        sent = {"ballot": ballot, "answers": {"overall": overall}, "watched": {"left": True, "right": True}}
        return self.ask("POST", "/api/vote", {**sent, **changes})


@pytest.fixture(scope="module")
def served(arena, tmp_path_factory):
    """Port of a server, and the store behind it; its clock says that everybody has watched."""
    root = copy_arena(arena, tmp_path_factory.mktemp("served") / "arena")
    ticks = iter(range(10**9))
    with serving(root, Rules(ballot_minutes=1000), clock=lambda: 1e9 + 10 * next(ticks)) as made:
        yield made


def client(served, name):
    return Client(served[0], served[1].add_rater(name, 0.0))


def test_a_link_becomes_a_cookie_that_no_script_reads(served):
    secret = served[1].add_rater("Link", 0.0)
    status, reply, value = Client(served[0]).ask("POST", "/api/session", {"secret": secret})
    assert (status, value) == (200, {"rater": "Link"})
    cookie = reply.getheader("Set-Cookie").lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def test_from_a_pair_to_a_vote_nothing_names_a_model(served):
    ida = client(served, "Ida")
    assert ida.ask("GET", "/")[0] == 200
    status, _, shown = ida.ask("POST", "/api/ballot", {})
    assert status == 200
    assert set(shown) == {"done", "ballot", "prompt", "seconds", "expires_s", "num_left"}
    for side in ("left", "right"):
        status, reply, content = ida.ask("GET", f"/media/{shown['ballot']}/{side}")
        assert (status, reply.getheader("Content-Type")) == (200, "video/mp4")
        assert content[4:8] == b"ftyp"
        assert reply.getheader("Last-Modified") is None
    assert ida.vote(shown["ballot"])[2] == {"counted": True, "is_new": True}
    assert ida.vote(shown["ballot"])[2] == {"counted": True, "is_new": False}
    assert ida.vote(shown["ballot"], "tie")[0] == 409
    words = [*MODELS, *(clip.file for clip in served[1].clips()), ".mp4"]
    assert [word for word in words if word.encode() in ida.heard] == []
    assert sum(one.rater == "Ida" for one in served[1].votes()) == 1


def test_a_pair_can_be_skipped(served):
    ida = client(served, "Skips")
    shown = ida.ask("POST", "/api/ballot", {})[2]
    assert ida.ask("POST", "/api/skip", {"ballot": shown["ballot"]})[2] == {"skipped": True}
    assert ida.ask("POST", "/api/ballot", {})[2]["ballot"] != shown["ballot"]


def test_parts_of_a_clip(served):
    ida = client(served, "Parts")
    shown = ida.ask("POST", "/api/ballot", {})[2]
    path = f"/media/{shown['ballot']}/left"
    whole = ida.ask("GET", path)[2]
    status, reply, part = ida.ask("GET", path, Range="bytes=10-19")
    assert (status, part) == (206, whole[10:20])
    assert reply.getheader("Content-Range") == f"bytes 10-19/{len(whole)}"
    assert ida.ask("GET", path, Range=f"bytes={len(whole)}-")[0] == 416


@pytest.mark.parametrize("secret", [None, "foreign", "x" * 3000])
def test_without_a_secret_of_ours_nothing_is_given(served, secret):
    shown = client(served, f"Owner {secret}"[:20]).ask("POST", "/api/ballot", {})[2]
    stranger = Client(served[0], secret)
    assert stranger.ask("POST", "/api/ballot", {})[0] == 403
    assert stranger.vote(shown["ballot"])[0] == 403
    assert stranger.ask("GET", f"/media/{shown['ballot']}/left")[0] == 403
    assert stranger.ask("POST", "/api/session", {"secret": secret or ""})[0] in (403, 429)


def test_pairs_of_others_and_invented_ones_are_refused(served):
    ida, ben = client(served, "Owner"), client(served, "Ben")
    shown = ida.ask("POST", "/api/ballot", {})[2]
    assert ben.vote(shown["ballot"])[2]["error"] == "never_shown"
    assert ben.ask("GET", f"/media/{shown['ballot']}/left")[0] == 404
    assert ida.vote("invented")[0] == 404
    assert ida.ask("GET", f"/media/{shown['ballot']}/..%2f..%2farena.sqlite")[0] == 404


@pytest.mark.parametrize("name", ["\\u0000", "\\ud800", "\\udc80", "é", "' OR 1=1 --"])
def test_names_that_no_database_takes_are_names_of_nothing(served, name):
    ida = client(served, f"Ida {name}")
    body = f'{{"ballot":"{name}","answers":{{"overall":"left"}},"watched":{{"left":true,"right":true}}}}'
    for path in ("/api/vote", "/api/skip"):
        assert ida.ask("POST", path, body=body.encode())[0] == 404
    assert ida.ask("POST", "/api/session", body=f'{{"secret":"{name}"}}'.encode())[0] == 403
    assert ida.ask("GET", "/media/%00/left")[0] == 404


def test_bodies_are_bounded_and_of_one_form(served):
    ida = client(served, "Bodies")
    assert ida.ask("POST", "/api/vote", body=b"x" * 5000)[0] == 413
    assert ida.ask("POST", "/api/vote", body=b"[" * 4000)[0] == 400
    assert ida.ask("POST", "/api/vote", body=b"{}")[0] == 400
    assert ida.ask("POST", "/api/vote", body=b"\xff\xfe")[0] == 400
    assert ida.ask("POST", "/api/ballot", {}, **{"Content-Type": "text/plain"})[0] == 415
    assert ida.ask("POST", "/api/ballot", {}, Origin="https://elsewhere.example")[0] == 403
    shown = ida.ask("POST", "/api/ballot", {})[2]
    assert ida.vote(shown["ballot"], answers={"overall": "lef"})[2]["text"].endswith("did you mean left?")
    assert ida.vote(shown["ballot"], watched={"left": True, "right": False})[0] == 422


def test_guessing_secrets_is_slowed_down(served):
    stranger = Client(served[0])
    statuses = [stranger.ask("POST", "/api/session", {"secret": f"guess {number}"})[0] for number in range(40)]
    assert set(statuses) == {403, 429}
    status, reply, _ = stranger.ask("POST", "/api/session", {"secret": "one more"})
    assert status == 429
    assert int(reply.getheader("Retry-After")) >= 1


@pytest.mark.parametrize("path", ["/", "/health", "/nothing", "/docs", "/openapi.json"])
def test_every_reply_has_the_headers(served, path):
    status, reply, _ = Client(served[0]).ask("GET", path)
    assert status == (200 if path in ("/", "/health") else 404)
    assert reply.getheader("X-Content-Type-Options") == "nosniff"
    assert "frame-ancestors 'none'" in reply.getheader("Content-Security-Policy")
    assert reply.getheader("Server") is None
