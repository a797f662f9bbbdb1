"""Server, worker and decoders are killed at random moments while clients post: what was accepted ends once."""

from __future__ import annotations

import contextlib
import io
import random
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import psutil
from PIL import Image

from mova.media.write import read_metadata
from serve.running import DECODER, WORKER, Running, circumstances

_PAUSE_S = (0.3, 1.5)
_ENDED = ("completed", "failed")


class Clients:
    """Clients in threads, each with its own requests.

    Args:
        address: of the server.
        count: of clients.
        seed: of their luck.
    """

    def __init__(self, address: str, count: int, seed: int) -> None:
        self._address, self._is_over = address, threading.Event()
        self._lock = threading.Lock()
        self.accepted: dict[str, int] = {}
        self.unsure: set[int] = set()
        self.refused: list[str] = []
        self.repeats = 0
        self._number = 0
        self._threads = [threading.Thread(target=self._run, args=(seed + one,)) for one in range(count)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Let all of them come to an end."""
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, seed: int) -> None:
        luck = random.Random(seed)
        while not self._is_over.is_set():
            with self._lock:
                self._number += 1
                number = self._number
            self._post(number, luck)
            self._is_over.wait(luck.uniform(*_PAUSE_S))

    def _post(self, number: int, luck: random.Random) -> None:
        """Post with a key until there is an answer; some have no key, and ask once."""
        has_key, has_image = luck.random() < 0.8, luck.random() < 0.3
        headers = {"Idempotency-Key": f"key-{number}"} if has_key else {}
        fields = {"prompt": f"clip {number}", "seed": str(number)}
        sent: dict[str, Any] = {"json": fields}
        if has_image:
            sent = {"data": fields, "files": {"image": ("a.png", _image())}}
        tries = 0
        # After the end too: whoever has a key asks until it knows.
        while True:
            tries += 1
            try:
                reply = httpx2.post(f"{self._address}v1/videos", headers=headers, timeout=30, **sent)
            except httpx2.HTTPError:
                if not has_key:
                    with self._lock:
                        self.unsure.add(number)
                    return
                time.sleep(0.2)
                continue
            with self._lock:
                self.repeats += tries > 1
                if reply.status_code == 200:
                    self.accepted[reply.json()["id"]] = number
                else:
                    self.refused.append(f"{reply.status_code} {reply.json()['error']['code']}")
            return


def measure(server: Running, kills: int, clients: int = 8, seed: int = 0) -> dict[str, object]:
    """Kill so often under load, wait for the end, and return what became of the jobs.

    Raises:
        AssertionError: a job was lost, made twice, or ended without a reason.
    """
    server.wait_ready()
    luck, struck = random.Random(seed), Counter[str]()
    asking = Clients(server.address, clients, seed)
    begun_s = time.monotonic()
    try:
        while sum(struck.values()) < kills:
            time.sleep(luck.uniform(0.1, 2.5))
            struck.update(_kill(server, luck))
    finally:
        asking.end()
    jobs = _all_ended(server.address)
    found = _check(server, asking, jobs)
    return {
        "kills": dict(struck),
        "seconds": round(time.monotonic() - begun_s, 1),
        **circumstances(),
        **found,
    }


def _kill(server: Running, luck: random.Random) -> list[str]:
    """Kill something; return what it was, nothing where it was not there."""
    what = luck.choice(["server", "worker", "worker", "both", "decoder"])
    workers, decoders = server.parts(WORKER), server.parts(DECODER)
    victims = {"server": [], "worker": workers, "both": workers, "decoder": decoders[:1]}[what]
    if what in ("worker", "decoder") and not victims:
        return []
    if what in ("server", "both"):
        server.kill()
    for victim in victims:
        with contextlib.suppress(psutil.Error):
            victim.kill()
    if what in ("server", "both"):
        time.sleep(luck.uniform(0.0, 0.5))
        server.start()
    return [what]


def _all_ended(address: str) -> list[dict[str, Any]]:
    """Wait until no job is open; return all of them."""
    until_s = time.monotonic() + 600
    while True:
        jobs: list[dict[str, Any]] = []
        after: dict[str, str] = {}
        while True:
            page = httpx2.get(f"{address}v1/videos", params={"limit": "100", "order": "asc", **after}).json()
            jobs += page["data"]
            if not page["has_more"]:
                break
            after = {"after": page["last_id"]}
        if all(job["status"] in _ENDED for job in jobs):
            return jobs
        assert time.monotonic() < until_s, [job["id"] for job in jobs if job["status"] not in _ENDED]
        time.sleep(0.5)


def _check(server: Running, asking: Clients, jobs: list[dict[str, Any]]) -> dict[str, object]:
    by_id = {job["id"]: job for job in jobs}
    lost = [name for name in asking.accepted if name not in by_id]
    assert not lost, f"lost: {lost}"
    made = Counter(job["seed"] for job in jobs)
    twice = [number for number, times in made.items() if times > 1]
    assert not twice, f"twice: {twice}"
    unknown = set(made) - set(asking.accepted.values()) - asking.unsure
    assert not unknown, f"nobody asked for: {unknown}"
    silent = [job["id"] for job in jobs if job["status"] == "failed" and not job["error"]["message"]]
    assert not silent, f"failed without a reason: {silent}"
    ends: Counter[str] = Counter()
    for job in jobs:
        ends[job["status"] if job["error"] is None else f"failed: {job['error']['code']}"] += 1
        if job["status"] == "completed":
            _check_file(server.address, job)
    files = [path.name for path in (server.data / "artifacts").rglob("*.mp4")]
    completed = sum(job["status"] == "completed" for job in jobs)
    assert len(files) == completed, f"{len(files)} clips on the disk, {completed} completed"
    return {
        "accepted": len(asking.accepted),
        "of requests without an answer": len(set(made) & asking.unsure),
        "repeated requests": asking.repeats,
        "refused": dict(Counter(asking.refused)),
        "ends": dict(ends),
        "attempts": dict(sorted(Counter(job["attempt"] for job in jobs).items())),
    }


def _check_file(address: str, job: dict[str, Any]) -> None:
    content = httpx2.get(f"{address}v1/videos/{job['id']}/content").content
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        path.write_bytes(content)
        said = read_metadata(path)
    assert said == {"prompt": job["prompt"], "seed": job["seed"]}, (job["id"], said)


def _image() -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (128, 128), (200, 40, 40)).save(written, "PNG")
    return written.getvalue()
