"""Clients that poll, post and download at once."""

from __future__ import annotations

import asyncio
import random
import resource
import time

import httpx2
import psutil

from serve.running import PROMPT, Running, circumstances, summary


class Load:
    """What clients have met."""

    def __init__(self) -> None:
        self.status_s: list[float] = []
        self.post_s: list[float] = []
        self.errors: list[str] = []
        self.done = 0

    async def client(self, address: str, until_s: float, number: int) -> None:
        """Be one client: poll once a second, post every ten, download what is done."""
        luck = random.Random(number)
        async with httpx2.AsyncClient(base_url=address, timeout=30) as client:
            await asyncio.sleep(luck.random())
            clips: list[str] = []
            beat, since_s = 0, time.monotonic()
            while time.monotonic() < until_s:
                if beat % 10 == number % 10:
                    reply = await self._ask(
                        client, "POST", "/v1/videos", self.post_s, {"prompt": PROMPT, "seed": number}
                    )
                    if reply is not None:
                        clips.append(reply.json()["id"])
                if clips:
                    reply = await self._ask(client, "GET", f"/v1/videos/{clips[0]}", self.status_s)
                    if reply is not None and reply.json()["status"] == "completed":
                        await self._ask(client, "GET", f"/v1/videos/{clips.pop(0)}/content", [])
                        self.done += 1
                beat += 1
                await asyncio.sleep(max(0.0, since_s + beat - time.monotonic()))

    async def _ask(
        self, client: httpx2.AsyncClient, method: str, path: str, spent: list[float], sent: object = None
    ) -> httpx2.Response | None:
        begun_s = time.perf_counter()
        try:
            reply = await client.request(method, path, **({} if sent is None else {"json": sent}))
        except httpx2.HTTPError as error:
            self.errors.append(repr(error))
            return None
        spent.append(time.perf_counter() - begun_s)
        if reply.status_code != 200:
            self.errors.append(f"{method} {reply.status_code}")
            return None
        return reply


async def watch(process: psutil.Process, until_s: float, found: list[float]) -> None:
    """Note the memory of the server, in MiB, every second."""
    while time.monotonic() < until_s:
        found.append(process.memory_info().rss / 2**20)
        await asyncio.sleep(1)


async def run(address: str, process: psutil.Process, clients: int, seconds: float) -> tuple[Load, list[float]]:
    """Let clients ask for so long."""
    load, memory, until_s = Load(), list[float](), time.monotonic() + seconds
    work = [load.client(address, until_s, number) for number in range(clients)]
    await asyncio.gather(watch(process, until_s, memory), *work)
    return load, memory


def measure(server: Running, clients: int, seconds: float) -> dict[str, object]:
    """Return what clients meet in so many seconds, and what it costs."""
    server.wait_ready()
    process = psutil.Process(server.process.pid)
    before, begun = resource.getrusage(resource.RUSAGE_SELF), sum(process.cpu_times()[:2])
    load, memory = asyncio.run(run(server.address, process, clients, seconds))
    after = resource.getrusage(resource.RUSAGE_SELF)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    tenths = [memory[min(len(memory) - 1, len(memory) * tenth // 10)] for tenth in range(11)]
    return {
        "clients": clients,
        "seconds": seconds,
        **circumstances(),
        "errors": len(load.errors),
        "first_errors": load.errors[:3],
        "status_ms": summary(load.status_s),
        "post_ms": summary(load.post_s),
        "clips": load.done,
        "memory_mib_by_tenths": [round(one, 1) for one in tenths],
        "cpu_s_of_server": round(sum(process.cpu_times()[:2]) - begun, 1),
        "cpu_s_of_load": round(spent, 1),
    }
