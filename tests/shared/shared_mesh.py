"""What the processes of test_mesh do: find their places, and wait."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from mova.distributed.mesh import Parallel, leave_parallel, start_parallel
from mova.errors import ConfigError, MissingExtraError

LIMIT_S = 2.0
CPU = torch.device("cpu")


class _CannotTravelError(Exception):
    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


ERRORS = (
    ConfigError("too much"),
    MissingExtraError("yaml", "train"),
    KeyboardInterrupt(),
    _CannotTravelError("far", "away"),
)


def places(rank: int, _folder: Path) -> dict[str, Any]:
    parallel = start_parallel(shard=2, ulysses=2)
    found = {
        "rank": parallel.rank,
        "data_rank": parallel.data_rank,
        "ulysses": distributed.get_process_group_ranks(parallel.mesh["ulysses"].get_group()),
        "sum": float(parallel.sum_over_samples(torch.tensor(10.0 * (1 + parallel.data_rank)))),
        "agreed": parallel.broadcast_flag(rank > 0, CPU),
        "largest": parallel.all_reduce_max(rank == 2, float(rank), -0.1 * (1 + rank)),
        "told": parallel.broadcast(lambda: {"made by": rank}),
        "errors": [_error_of(parallel, error) for error in ERRORS],
        "for 3 ulysses": _suggestion(ulysses=3),
        "for 3 replicas": _suggestion(replicate=3, ulysses=2),
    }
    parallel.barrier()
    leave_parallel()
    return found | {"closed": not distributed.is_initialized()}


def wait_for_the_main_one(rank: int, _folder: Path) -> float:
    parallel = start_parallel(shard=2)
    started = time.monotonic()
    if parallel.is_main:
        time.sleep(2 * LIMIT_S)
    parallel.barrier()
    return time.monotonic() - started


def _error_of(parallel: Parallel, error: BaseException) -> str:
    """Return the error that every process meets when the main one does."""

    def fail() -> None:
        assert parallel.is_main
        raise error

    try:
        parallel.broadcast(fail)
    except BaseException as met:
        return f"{type(met).__name__}: {met}"
    return "none"


def _suggestion(**sizes: int) -> str:
    try:
        start_parallel(**sizes)
    except ConfigError as error:
        return re.split("; ", str(error))[-1]
    return "accepted"
