"""A server under load: clients that poll, post and download, with a stand-in of fixed time or with a real model.

    .venv/bin/python benchmarks/bench_serve.py --clients 50 --seconds 300
    .venv/bin/python benchmarks/bench_serve.py --clients 50 --seconds 60 --model mova-tiny

Each client asks for the status of a clip once a second, posts every ten seconds, and downloads each clip that is done.
Prints one JSON object: errors, milliseconds of status calls (median, 99 %, most), memory of the server over time, and
processor seconds of the load itself, which shares the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2
import psutil

from mova.cores import num_cores
from mova.serve.worker.process import MOVA, STAND_IN

PROMPT = "A small red ball falls from low down onto a wooden floor and bounces in front of a pale pink wall."
SERVER = """
import json, sys
sys.path[:] = {path!r}
from mova.serve.run import serve
from mova.serve.settings import load_settings
settings = load_settings(None, json.loads(sys.argv[1]))
serve(settings, lambda address: print(address, flush=True), generator={generator!r}, options=json.loads(sys.argv[2]))
"""


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


def summary(values: list[float]) -> dict[str, float]:
    """Return milliseconds."""
    if len(values) < 2:
        return {}
    cuts = statistics.quantiles(values, n=100)
    figures = {"median": statistics.median(values), "p95": cuts[94], "p99": cuts[98], "most": max(values)}
    return {name: round(1000 * value, 1) for name, value in figures.items()} | {"calls": len(values)}


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--step", type=float, default=0.02, help="seconds of a step of the stand-in, of ten")
    parser.add_argument("--model", default="", help="make real clips with this model instead")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = {"data": str(Path(folder) / "data"), "port": 0, "model": given.model or "mova-tiny"}
        options = {} if given.model else {"step_s": given.step, "steps": 10}
        code = SERVER.format(path=sys.path, generator=MOVA if given.model else STAND_IN)
        command = [sys.executable, "-c", code, json.dumps(settings), json.dumps(options)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            while httpx2.get(f"{address}ready").status_code != 200:
                time.sleep(0.2)
            server = psutil.Process(process.pid)
            before, begun = resource.getrusage(resource.RUSAGE_SELF), sum(server.cpu_times()[:2])
            load, memory = asyncio.run(run(address, server, given.clients, given.seconds))
            after = resource.getrusage(resource.RUSAGE_SELF)
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            third = max(1, len(memory) // 3)
            found = {
                "clients": given.clients,
                "seconds": given.seconds,
                "generator": given.model or f"stand-in of {10 * given.step:g} s",
                "cores": num_cores(),
                "load": round(os.getloadavg()[0], 1),
                "errors": len(load.errors),
                "first_errors": load.errors[:3],
                "status_ms": summary(load.status_s),
                "post_ms": summary(load.post_s),
                "clips": load.done,
                "memory_mib": {
                    "begin": round(memory[0], 1),
                    "after a third": round(memory[third], 1),
                    "end": round(memory[-1], 1),
                },
                "cpu_s_of_server": round(sum(server.cpu_times()[:2]) - begun, 1),
                "cpu_s_of_load": round(spent, 1),
            }
            sys.stdout.write(json.dumps(found, indent=1) + "\n")
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(60)
            process.kill()


if __name__ == "__main__":
    main()
