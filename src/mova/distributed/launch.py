"""Several processes of this machine for one job: started together, ended together, with one result or one error.

What ends one of them ends all: an error, a signal, or the end of the process that started them. Rank 0, which writes
files, is ended first and has time to tidy up. No torch here; the workers import it side by side.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from mova.cores import num_cores
from mova.errors import ConfigError, MovaError, StageError, portable
from mova.files.unfinished import remove_unfinished, temporary_folder

_Job = tuple[Callable[..., Any], Sequence[Any]]
# What ends a command, and what of it a terminal sends to all processes at once.
_ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_OF_TERMINALS = [number for number in _ENDING if number != signal.SIGTERM]
# How long rank 0 may take to remove what it was writing.
_TIDY_S = 5.0
# The loss of one process makes the others fail; what came first may be noticed last.
_LISTEN_S = 0.5


@dataclass(frozen=True)
class _Report:
    """What a worker sends at its end: its result, or the error, and when (a clock that all share)."""

    value: Any = None
    error: BaseException | None = None
    at_s: float = 0.0


@dataclass(frozen=True)
class _Worker:
    """A worker process, and the pipe to it."""

    process: BaseProcess
    pipe: Connection


def launch(num_processes: int, entry: Callable[..., object], *arguments: object) -> Any:
    """Call `entry(*arguments)` in so many worker processes that form one process group.

    Args:
        num_processes: number of workers, 1 or more. On CUDA each takes a GPU of its own.
        entry: function that is importable by name; `torch.distributed` says its rank.
        arguments: its positional arguments, picklable.

    Returns:
        What rank 0 returned, picklable.

    Raises:
        ConfigError: fewer GPUs than processes.
        StageError: a process was lost, as when memory runs out.
        BaseException: what the first failing process raised; the others have been ended.
    """
    if num_processes < 1:
        raise ConfigError(f"processes must be 1 or more, got {num_processes}; nearest is 1")
    with temporary_folder("mova-") as folder:
        workers: list[_Worker] = []
        try:
            with _interrupts_after(), _interrupts_for_this_process_only():
                for rank in range(num_processes):
                    workers.append(_start(rank, num_processes, folder / "rendezvous", (entry, arguments)))
            reports = _listen(workers)
            failure = _first_failure(reports, workers)
            if failure is not None:
                raise failure
            found = reports[0]
            assert found is not None, "no process failed"
            return found.value
        finally:
            with _interrupts_after():
                _end(workers)


def _start(rank: int, num_processes: int, rendezvous: Path, job: _Job) -> _Worker:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_enter, args=(rank, num_processes, str(rendezvous), there, job))
    process.start()
    # Only the process itself holds its end, so that its loss is seen.
    there.close()
    return _Worker(process, here)


def _listen(workers: Sequence[_Worker]) -> dict[int, _Report | None]:
    """Return the reports by rank, None of lost processes: of all, or of those that came with the first failure."""
    silent = {worker.pipe: rank for rank, worker in enumerate(workers)}
    reports: dict[int, _Report | None] = {}
    until: float | None = None
    while silent:
        ready = wait(list(silent), None if until is None else max(0.0, until - time.monotonic()))
        if not ready:
            break
        for pipe in ready:
            assert isinstance(pipe, Connection)
            rank = silent.pop(pipe)
            try:
                report = pipe.recv()
            except (EOFError, OSError):
                report = None
            reports[rank] = report
            if until is None and (report is None or report.error is not None):
                until = time.monotonic() + _LISTEN_S
    return reports


def _first_failure(reports: dict[int, _Report | None], workers: Sequence[_Worker]) -> BaseException | None:
    for rank, report in reports.items():
        if report is None:
            workers[rank].process.join(_TIDY_S)
            code = workers[rank].process.exitcode or 0
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            return StageError(f"process {rank} of {len(workers)} was lost ({how}); memory may have run out")
    failed = [report for report in reports.values() if report is not None and report.error is not None]
    return min(failed, key=lambda report: report.at_s).error if failed else None


def _end(workers: Sequence[_Worker]) -> None:
    """End all processes. Those that have reported leave by themselves; rank 0 may tidy up."""
    for worker in workers:
        worker.pipe.close()
    until = time.monotonic() + _LISTEN_S
    for worker in workers:
        worker.process.join(max(0.0, until - time.monotonic()))
    for worker in workers[1:]:
        worker.process.kill()
    for worker in workers[:1]:
        if worker.process.is_alive():
            worker.process.terminate()
        worker.process.join(_TIDY_S)
        worker.process.kill()
    for worker in workers:
        worker.process.join()


@contextmanager
def _interrupts_after() -> Iterator[None]:
    """Let signals that end this process wait for the end of the block: a list of processes is never half made."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    numbers = [number for number in _ENDING if callable(signal.getsignal(number))]
    former = {number: signal.signal(number, lambda number, _: came.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])


@contextmanager
def _interrupts_for_this_process_only() -> Iterator[None]:
    """Let processes that are started meanwhile not be reached by Ctrl-C, which goes to them too: this one ends them.

    A mask is passed on, and unlike a signal that is ignored one that is masked is not lost to this process.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    former = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_TERMINALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _enter(rank: int, num_processes: int, rendezvous: str, pipe: Connection, job: _Job) -> None:
    """Be one of the processes."""
    for number in _OF_TERMINALS:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _interrupt)
    threading.Thread(target=_end_with_parent, args=(Path(rendezvous).parent,), daemon=True).start()
    with suppress(BaseException):
        pipe.send(_report_of(lambda: _do(rank, num_processes, rendezvous, job)))
        sys.stderr.flush()
        # Nobody hangs up before everybody is done.
        pipe.recv()
    remove_unfinished()
    # Without farewell: threads of the exchange may still be running, and taking them down in order can abort.
    os._exit(0)


def _do(rank: int, num_processes: int, rendezvous: str, job: _Job) -> Any:
    import torch
    from torch import distributed
    from tqdm import tqdm

    from mova.device import own_device

    # Progress bars would make a lock between processes, which outlives one that is ended.
    tqdm.set_lock(threading.RLock())
    # Processes that compute on one CPU share its cores; fewer threads, where the user wants them, are kept.
    torch.set_num_threads(min(torch.get_num_threads(), max(1, num_cores() // num_processes)))
    device = own_device(rank, num_processes)
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        init_method=f"file://{rendezvous}",
        rank=rank,
        world_size=num_processes,
    )
    entry, arguments = job
    value = entry(*arguments)
    return value if rank == 0 else None


def _report_of(work: Callable[[], Any]) -> _Report:
    try:
        report = _Report(work())
        pickle.dumps(report)
    except BaseException as error:
        at_s = time.monotonic()
        if not isinstance(error, MovaError | KeyboardInterrupt):
            error.add_note(f"in one of several processes:\n{traceback.format_exc()}")
        return _Report(error=portable(error), at_s=at_s)
    return report


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _end_with_parent(folder: Path) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "this process was started by another"
    wait([parent.sentinel])
    # A parent that ends in order has done this itself; one that was killed could not.
    shutil.rmtree(folder, ignore_errors=True)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_TIDY_S)
    remove_unfinished()
    os._exit(1)
