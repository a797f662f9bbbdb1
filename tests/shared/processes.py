"""Start real processes that share work through gloo, and get back what each of them found."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed

Job = Callable[[int, Path], Any]


def run_processes(
    job: Job, world_size: int, folder: Path, *, timeout_s: float = 280.0, launched: bool = False
) -> list[Any]:
    """Run `job(rank, folder)` in so many processes; return what they returned, as JSON values, by rank.

    Args:
        job: importable by name.
        world_size: processes.
        folder: for what they share.
        timeout_s: how long one may wait for another.
        launched: leave the process group to the job, in the environment that `torchrun` makes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Imports take seconds: one process, in which nothing has run yet, does them once for all others.
    multiprocessing.set_forkserver_preload(["mova.train.ladder", "mova.train.stages.joint", "mova.train.stages.lora"])
    environment = _environment(world_size) if launched else {}
    torch.multiprocessing.start_processes(
        _enter,
        args=(world_size, str(folder), job, timeout_s, environment),
        nprocs=world_size,
        start_method="forkserver",
    )
    return [json.loads((folder / f"result_{rank}.json").read_text()) for rank in range(world_size)]


def _enter(rank: int, world_size: int, folder: str, job: Job, timeout_s: float, environment: dict[str, str]) -> None:
    torch.set_num_threads(1)
    if environment:
        os.environ.update(environment, RANK=str(rank), LOCAL_RANK=str(rank))
    else:
        distributed.init_process_group(
            "gloo",
            # A file as the meeting point: no port that another test could have.
            init_method=f"file://{folder}/store",
            rank=rank,
            world_size=world_size,
            timeout=timedelta(seconds=timeout_s),
        )
    try:
        result = job(rank, Path(folder))
    except BaseException:
        traceback.print_exc()
        raise
    partial = Path(folder, f"result_{rank}.partial")
    partial.write_text(json.dumps(result))
    partial.rename(partial.with_suffix(".json"))
    # Nobody hangs up before everybody is done. Then without farewell: gloo's threads may still be running, and taking
    # them down in order aborts the process now and then.
    while not all(Path(folder, f"result_{other}.json").exists() for other in range(world_size)):
        time.sleep(0.02)
    os._exit(0)


def _environment(world_size: int) -> dict[str, str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(world_size),
        "TORCHELASTIC_RUN_ID": "test",
    }
