"""Start real processes that share work through gloo, and get back what each of them found."""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import distributed, multiprocessing


def run_processes(job: Callable[[int, Path], Any], world_size: int, folder: Path) -> list[Any]:
    """Run `job(rank, folder)` in so many processes; return what they returned, as JSON values, by rank.

    `job` must be importable by name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    multiprocessing.spawn(_enter, args=(world_size, str(folder), job), nprocs=world_size, join=True)
    return [json.loads((folder / f"result_{rank}.json").read_text()) for rank in range(world_size)]


def _enter(rank: int, world_size: int, folder: str, job: Callable[[int, Path], Any]) -> None:
    torch.set_num_threads(1)
    # A file as the meeting point: no port that another test could have.
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world_size)
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
