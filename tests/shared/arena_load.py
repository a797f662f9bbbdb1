"""Many people who vote at once while the server is killed, and what became of their votes."""

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
from dataclasses import dataclass

from arena_kit import write_url
from mova.evaluate.arena.contents import NewClip, NewPrompt
from mova.evaluate.arena.folder import new_database, open_arena
from mova.evaluate.arena.records import Answer
from mova.evaluate.arena.store import Store

NUM_PROMPTS = 80
ANSWERS = [str(answer) for answer in Answer]


@dataclass(frozen=True)
class Voted:
    """What came of it.

    Attributes:
        seconds: from the first ballot to the last vote.
        calls_s: of each vote that was acknowledged at the first call, from the call to the reply.
        num_kept: votes that are in the database.
    """

    seconds: float
    calls_s: tuple[float, ...]
    num_kept: int


def make(root, url):
    """Make an arena whose clips last no time and are nowhere: nobody looks at them here."""
    root.mkdir(exist_ok=True)
    store = Store(new_database(root, url))
    store.database.upgrade()
    clips = [tuple(NewClip(m, 0, f"{m}{n}.mp4", 0.0) for m in "abc") for n in range(NUM_PROMPTS)]
    store.fill("Load", ("a", "b", "c"), [NewPrompt(f"p{n}", "", "", clips[n]) for n in range(NUM_PROMPTS)])
    store.database.close()
    write_url(root, url)


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
        self.acknowledged, self.problems, self.calls_s = {}, [], []

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
                    status, reply = self._ask("/api/vote", sent, self.calls_s)
                    assert (status, reply["counted"]) == (200, True), reply
                self.acknowledged[shown["ballot"]] = answer
        except Exception as problem:
            self.problems.append(repr(problem))
        finally:
            if self._connection is not None:
                self._connection.close()

    def _ask(self, path, value, calls_s=None):
        is_first = True
        while True:
            try:
                begun = time.perf_counter()
                if self._connection is None:
                    self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=300)
                headers = {"Content-Type": "application/json", "Cookie": f"arena_rater={self._secret}"}
                self._connection.request("POST", path, json.dumps(value), headers)
                reply = self._connection.getresponse()
                content = json.loads(reply.read())
                if reply.status < 500:
                    if calls_s is not None and is_first:
                        calls_s.append(time.perf_counter() - begun)
                    return reply.status, content
            except (OSError, http.client.HTTPException, ValueError):
                pass
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            is_first = False
            time.sleep(0.05 * self._random.random())


def vote_through_kills(root, num_voters, num_votes, num_kills, url=""):
    """Let people vote, kill the server, and check that each acknowledged vote is there once and no other is.

    Args:
        root: folder of the arena.
        num_voters: at the same time.
        num_votes: of all of them together.
        num_kills: of the server, at even distances.
        url: of an empty database; "" is SQLite.
    """
    make(root, url)
    with open_arena(root) as database:
        secrets = [Store(database).add_rater(f"rater {number}", 0.0) for number in range(num_voters)]
    server = Server(root)
    voters = [Voter(server.port, secret, seed, num_votes // num_voters) for seed, secret in enumerate(secrets)]
    begun = time.perf_counter()
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
        seconds = time.perf_counter() - begun
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
    return Voted(seconds, tuple(call for voter in voters for call in voter.calls_s), len(kept))
