"""Fifty people vote at once while the server is killed: no vote that was acknowledged is lost or doubled."""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from arena_kit import write_url
from mova.evaluate.arena.contents import NewClip, NewPrompt
from mova.evaluate.arena.folder import new_database, open_arena
from mova.evaluate.arena.records import Answer
from mova.evaluate.arena.store import Store

NUM_PROMPTS = 80
ANSWERS = [str(answer) for answer in Answer]


def make(root):
    """Make an arena whose clips last no time and are nowhere: nobody looks at them here."""
    store = Store(new_database(root, ""))
    store.database.upgrade()
    clips = [tuple(NewClip(m, 0, f"{m}{n}.mp4", 0.0) for m in "abc") for n in range(NUM_PROMPTS)]
    store.fill("Load", ("a", "b", "c"), [NewPrompt(f"p{n}", "", "", clips[n]) for n in range(NUM_PROMPTS)])
    store.database.close()
    write_url(root, "")


class Server:
    def __init__(self, root):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port = taken.getsockname()[1]
        self._command = [
            *(sys.executable, "-m", "mova.cli", "evaluate", "arena", "serve", str(root), "--port", str(self.port)),
            *("--votes-per-minute", "100000"),
        ]
        self.start()

    def start(self):
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, env={**os.environ})
        assert self._process.stdout.readline().startswith(b"http"), "the server has not come up"

    def kill(self):
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._process.stdout.close()


class Voter(threading.Thread):
    """Votes, and sends a vote again until it is acknowledged, sometimes once more after that."""

    def __init__(self, port, secret, seed, number):
        super().__init__()
        self._port, self._secret, self._random, self._number = port, secret, random.Random(seed), number
        self._connection = None
        self.acknowledged, self.problems = {}, []

    def run(self):
        try:
            while len(self.acknowledged) < self._number:
                status, shown = self._ask("/api/ballot", {})
                assert status == 200, shown
                assert not shown["done"]
                answer = self._random.choice(ANSWERS)
                sent = {"ballot": shown["ballot"], "answers": {"overall": answer}}
                sent["watched"] = {"left": True, "right": True}
                for _ in range(1 + (self._random.random() < 0.05)):
                    status, reply = self._ask("/api/vote", sent)
                    assert (status, reply["counted"]) == (200, True), reply
                self.acknowledged[shown["ballot"]] = answer
        except Exception as problem:
            self.problems.append(repr(problem))
        finally:
            if self._connection is not None:
                self._connection.close()

    def _ask(self, path, value):
        while True:
            try:
                if self._connection is None:
                    self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=300)
                headers = {"Content-Type": "application/json", "Cookie": f"arena_rater={self._secret}"}
                self._connection.request("POST", path, json.dumps(value), headers)
                reply = self._connection.getresponse()
                content = json.loads(reply.read())
                if reply.status < 500:
                    return reply.status, content
            except (OSError, http.client.HTTPException, ValueError):
                pass
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            time.sleep(0.05 * self._random.random())


def vote_through_kills(root, num_voters, num_votes, num_kills):
    make(root)
    with open_arena(root) as database:
        secrets = [Store(database).add_rater(f"rater {number}", 0.0) for number in range(num_voters)]
    server = Server(root)
    voters = [Voter(server.port, secret, seed, num_votes // num_voters) for seed, secret in enumerate(secrets)]
    for voter in voters:
        voter.start()
    try:
        for kill in range(num_kills):
            least = num_votes * (kill + 1) // (num_kills + 1)
            while sum(len(voter.acknowledged) for voter in voters) < least and any(one.is_alive() for one in voters):
                time.sleep(0.01)
            server.kill()
            server.start()
        for voter in voters:
            voter.join()
    finally:
        server.kill()
    assert [voter.problems for voter in voters if voter.problems] == []
    acknowledged = {ballot: answer for voter in voters for ballot, answer in voter.acknowledged.items()}
    with open_arena(root) as database:
        kept = Store(database).votes()
    assert len(acknowledged) == num_votes
    assert len(kept) == len({vote.ballot for vote in kept}), "doubled"
    assert {vote.ballot: str(vote.answers["overall"]) for vote in kept} == acknowledged, "lost, or of somebody else"
    seen = [(vote.rater, frozenset((vote.left, vote.right)), vote.prompt) for vote in kept]
    assert len(set(seen)) == len(seen), "nobody judges a pair twice"


def test_a_server_that_is_killed_loses_and_doubles_nothing(tmp_path):
    vote_through_kills(tmp_path, num_voters=6, num_votes=60, num_kills=2)


@pytest.mark.slow
def test_fifty_voters_ten_thousand_votes_twenty_kills(tmp_path):
    vote_through_kills(tmp_path, num_voters=50, num_votes=10_000, num_kills=20)
