"""Posts as fast as they go, with all that follows, and the memory of the server after each tenth of them."""

from __future__ import annotations

import threading
import time

import httpx2
import psutil

from serve.running import Running, circumstances

_POLLS, _SETTLED_S = 9, 6.0


def measure(server: Running, posts: int, clients: int = 12) -> dict[str, object]:
    """Return MiB by number of posts.

    Args:
        server: that runs.
        posts: about how many.
        clients: threads that post, poll and download.
    """
    server.wait_ready()
    process = psutil.Process(server.process.pid)
    done, lock, is_over = [0], threading.Lock(), threading.Event()

    def ask() -> None:
        with httpx2.Client(base_url=server.address, timeout=60) as client:
            clips: list[str] = []
            while not is_over.is_set():
                clips.append(client.post("/v1/videos", json={"prompt": "a red ball", "seed": 1}).json()["id"])
                with lock:
                    done[0] += 1
                for _ in range(_POLLS):
                    if clips and client.get(f"/v1/videos/{clips[0]}").json()["status"] == "completed":
                        client.get(f"/v1/videos/{clips.pop(0)}/content")

    def memory() -> float:
        return round(process.memory_info().rss / 2**20, 1)

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    found: dict[int, float] = {}
    try:
        while done[0] < posts:
            if done[0] >= len(found) * posts // 10:
                found[done[0]] = memory()
            time.sleep(0.05)
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    time.sleep(_SETTLED_S)
    return {"posts": done[0], **circumstances(), "memory_mib_by_posts": found, "memory_mib_after": memory()}
