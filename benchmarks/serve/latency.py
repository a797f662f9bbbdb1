"""How soon an idle server begins: from a POST to the claim by the worker, and to the first call of the model."""

from __future__ import annotations

import io
import json
import random
import resource
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from PIL import Image

from mova.serve.settings import ServeSettings
from mova.serve.worker.generator import Made, Task, Watch
from mova.serve.worker.mova_generator import MovaGenerator
from serve.running import PROMPT, Running, circumstances, summary

TIMED = "serve.latency:make_timed"
_SEED = 22


class Timed(MovaGenerator):
    """Makes clips, and notes when a tower is called first and what encoding took before."""

    def make(self, tasks: Sequence[Task], watch: Watch) -> Sequence[Made]:
        """Make clips."""
        pipeline = self._loaded().pipeline
        assert pipeline is not None
        found: dict[str, float] = {}
        begun: list[float] = []

        # A hook that returns something would change what the module gets.
        def called(*_: object) -> None:
            found.setdefault("called_s", time.time())

        def encoding(*_: object) -> None:
            begun.append(time.time())

        def encoded(*_: object) -> None:
            found["encoding_s"] = found.get("encoding_s", 0.0) + time.time() - begun.pop()

        # The forward of two towers calls their parts.
        hooks = [pipeline.video_dit.time_embedding.register_forward_pre_hook(called)]
        for encoder in (pipeline.text_encoder, pipeline.video_vae.encoder):
            hooks.append(encoder.register_forward_pre_hook(encoding))
            hooks.append(encoder.register_forward_hook(encoded))
        try:
            done = super().make(tasks, watch)
        finally:
            for hook in hooks:
                hook.remove()
        return [Made({**one.facts, **found}, one.thumbnail, one.waveform) for one in done]


def make_timed(settings: ServeSettings, options: Mapping[str, Any]) -> Timed:
    """Return one."""
    del options
    return Timed(settings)


def measure(server: Running, posts: int, *, with_image: bool) -> dict[str, object]:
    """Return milliseconds of posts to a server that has nothing to do, spread in time.

    Args:
        server: that runs, with `TIMED` where images are sent.
        posts: how many.
        with_image: send one, and look for the first call of the model.
    """
    server.wait_ready()
    luck = random.Random(_SEED)
    waits: dict[str, list[float]] = {}
    worst: list[tuple[float, dict[str, float]]] = []
    before = resource.getrusage(resource.RUSAGE_SELF)
    with httpx2.Client(base_url=server.address, timeout=120) as client:
        for number in range(posts):
            time.sleep(luck.uniform(0.2, 0.8))
            fields = {"prompt": PROMPT, "seed": str(number), "speed": "fastest", "num_inference_steps": "1"}
            sent: dict[str, Any] = {"data": fields, "files": {"image": ("a.png", _image(number))}}
            begun_s = time.time()
            reply = client.post("/v1/videos", **(sent if with_image else {"json": fields}))
            replied_s = time.time()
            assert reply.status_code == 200, reply.text
            row = _ended(server.data, reply.json()["id"])
            one = {"post to reply": replied_s - begun_s, "post to claim": row["started_s"] - begun_s}
            one["post to row"] = row["created_s"] - begun_s
            if with_image:
                one["post to first call"] = row["called_s"] - begun_s
                one["encoding in it"] = row["encoding_s"]
                one["first call without encoding"] = one["post to first call"] - row["encoding_s"]
            for name, value in one.items():
                waits.setdefault(name, []).append(value)
            worst.append((one["post to first call" if with_image else "post to claim"], one))
    after = resource.getrusage(resource.RUSAGE_SELF)
    worst.sort(key=lambda each: -each[0])
    return {
        **circumstances(),
        "ms": {name: summary(values) for name, values in waits.items()},
        "slowest_ms": [{name: round(1000 * value, 1) for name, value in one.items()} for _, one in worst[:3]],
        "cpu_s_of_load": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
    }


def _ended(data: Path, name: str) -> dict[str, float]:
    """Wait for a clip, without asking the server; return when it was added, claimed and first computed."""
    with closing(sqlite3.connect(f"file:{data / 'jobs.sqlite3'}?mode=ro", uri=True, timeout=30)) as rows:
        while True:
            asked = "SELECT state, created_s, started_s, facts FROM jobs WHERE id = ?"
            state, created_s, started_s, facts = rows.execute(asked, (name,)).fetchone()
            if state in ("failed", "cancelled"):
                raise RuntimeError(f"a clip is {state}")
            if state == "completed":
                found = json.loads(facts)
                return {"created_s": created_s, "started_s": started_s} | {
                    key: found[key] for key in ("called_s", "encoding_s") if key in found
                }
            time.sleep(0.05)


def _image(number: int) -> bytes:
    """Return a PNG file of 128x128."""
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels).resize((128, 128)).save(written, "PNG")
    return written.getvalue()
