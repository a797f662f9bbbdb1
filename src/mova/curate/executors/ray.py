"""Machines of a Ray cluster: Ray Data streams units to them, and our own manifests say what is complete.

Ray is imported here and nowhere else. A unit's rows stay where its worker writes them, in the output folder that all
machines share; what goes through Ray is the place of a unit on the way there, and a line about it on the way back.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import pickle
import secrets
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

from mova.cores import num_cores
from mova.curate.executors.base import OnDone
from mova.curate.folder import OutputFolder
from mova.curate.stage import Stage, StageNeeds
from mova.curate.units import LOST, Manifest, Patience, Task, give_up, perform, read_manifest
from mova.errors import ConfigError, DataError, MissingExtraError
from mova.version import package_version

PORTION: Final = 4096
"""Units that one execution of Ray Data takes; the list of a stage is longer than what a driver should hold."""
_STORE_BYTES: Final = 512 * 2**20
"""Shared memory of a cluster of our own; what goes through it is small."""
_VISIBLE_S: Final = 120.0
"""How long a machine may take to see what another wrote: network file systems remember for a minute what is absent."""
_ANSWER_S: Final = 20.0
_SETTINGS: Final = {
    "RAY_raylet_start_wait_time_s": "200",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}
_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP")


@dataclass
class RayExecutor:
    """Does units on a Ray cluster.

    The cluster that this process is connected to already is used, else the one at `address` or in the environment
    variable RAY_ADDRESS, else one is started on this machine; `close` ends what was begun here and nothing else.

    Attributes:
        address: of a running cluster, "auto" for the one of this machine; "" takes RAY_ADDRESS or starts one.
        workers: units at a time; 0 takes as many as the cluster has room for.
        patience: how often a unit is begun whose worker ends, and how storage that does not answer is tried again.
        portion: units that Ray Data is given at a time.
    """

    address: str = ""
    workers: int = 0
    patience: Patience = field(default_factory=Patience)
    portion: int = PORTION
    _connected: bool = field(default=False, init=False, repr=False)

    def run(self, stage: Stage, tasks: Iterable[Task], root: Path, on_done: OnDone) -> None:
        """See `Executor.run`.

        Raises:
            MissingExtraError: Ray is not installed.
            ConfigError: the cluster cannot be reached, or its machines do not share the output folder.
        """
        waiting = iter(tasks)
        job = _Job(secrets.token_hex(8), stage, root.absolute(), self.patience, package_version())
        while portion := list(islice(waiting, self.portion)):
            self._connect()
            with _spooled(job, portion) as (folder, rows):
                self._run_portion(stage, rows, folder, root, on_done)

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._connected:
            self._connected = False
            _ray().shutdown()

    def _connect(self) -> None:
        ray = _ray()
        if ray.is_initialized():
            return
        for name, value in _SETTINGS.items():
            os.environ.setdefault(name, value)
        address = self.address or os.environ.get("RAY_ADDRESS", "")
        own = {"num_cpus": max(self.workers, num_cores()), "object_store_memory": _STORE_BYTES}
        options: Mapping[str, Any] = {} if address else {**own, "include_dashboard": False}
        logging.getLogger("ray").setLevel(logging.ERROR)
        _reach(address)
        try:
            with _our_signals():
                ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            if address:
                raise _unreachable(address, error) from error
            raise ConfigError(f"no Ray cluster could be started on this machine: {error}") from error
        self._connected = True

    def _run_portion(
        self, stage: Stage, rows: Sequence[Mapping[str, int]], folder: Path, root: Path, on_done: OnDone
    ) -> None:
        ray = _ray()
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        # A block for each unit: whatever becomes of one, no other is done again for it.
        units = ray.data.from_items(list(rows), override_num_blocks=len(rows))
        units.context.enable_progress_bars = False
        units.context.print_on_execution_start = False
        done = units.map_batches(
            _do,
            batch_size=None,
            batch_format="pyarrow",
            fn_args=(str(folder),),
            concurrency=self.workers or None,
            # Ray begins a unit again whenever its worker is lost; the marks of its beginnings say when it is enough.
            **_resources(stage.needs, ray.nodes()),
        )
        try:
            with closing(iter(done.iter_batches(batch_size=None, prefetch_batches=0, batch_format="pyarrow"))) as got:
                for reply in (row for batch in got for row in batch.to_pylist()):
                    on_done(_taken(stage, reply, root))
        except ray.exceptions.RayError as error:
            raise ConfigError(
                f"the Ray cluster must do units of the stage {stage.name}, and gave up: {error}. All of its machines "
                "need the same mova with its extras"
            ) from error


@dataclass(frozen=True)
class _Job:
    """What all units of a stage have in common; read once by each worker."""

    name: str
    stage: Stage
    root: Path
    patience: Patience
    version: str


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("ray", "ray") from error
    return ray


def _reach(address: str) -> None:
    """See that something answers at an address; Ray itself tries for minutes.

    Raises:
        ConfigError: nothing does.
    """
    host, separator, port = address.rpartition("://")[2].rpartition(":")
    if separator and port.isdecimal():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S).close()
        except (OSError, OverflowError) as error:
            raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"execution.ray_address must be that of a Ray cluster that runs, and nothing answers at {address}: {error}; "
        "leave it out for a cluster on this machine"
    )


@contextmanager
def _our_signals() -> Iterator[None]:
    """Keep the handlers of signals in the block, which Ray would replace by its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    handlers = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _resources(needs: StageNeeds, nodes: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return what Ray keeps free for a unit: what the stage needs, but never more than the largest machine has."""
    machines = [node["Resources"] for node in nodes if node["Alive"]]
    cores = max((machine.get("CPU", 0.0) for machine in machines), default=0.0)
    memory = max((machine.get("memory", 0.0) for machine in machines), default=0.0)
    resources = {
        "num_cpus": min(needs.cores, cores) if cores else needs.cores,
        "memory": int(min(needs.memory_bytes, memory) if memory else needs.memory_bytes),
    }
    return {**resources, "num_gpus": needs.gpus} if needs.gpus else resources


@contextmanager
def _spooled(job: _Job, tasks: Sequence[Task]) -> Iterator[tuple[Path, list[dict[str, int]]]]:
    """Write tasks to the output folder for the workers; gone at the end, and with it the leave to work on them.

    Yields:
        The folder, and where in it each task is.
    """
    folder = OutputFolder(job.root).temporary / f"ray-{secrets.token_hex(8)}"
    folder.mkdir(parents=True)
    rows, place = [], 0
    try:
        with (folder / "tasks").open("wb") as file:
            for number, task in enumerate(tasks):
                size = file.write(pickle.dumps(task))
                rows.append({"number": number, "place": place, "size": size})
                place += size
        (folder / "job").write_bytes(pickle.dumps(job))
        yield folder, rows
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_JOBS: Final[dict[str, _Job]] = {}


def _do(batch: Any, folder: str) -> dict[str, list[str]]:
    """Do the units of a block in a worker; errors that end the run are told as replies, so that Ray adds nothing."""
    replies: dict[str, list[str]] = {"unit_id": [], "rows_digest": [], "error": []}
    for row in batch.to_pylist():
        reply = _reply(Path(folder), row["number"], row["place"], row["size"])
        for name, values in replies.items():
            values.append(reply.get(name, ""))
    return replies


def _reply(folder: Path, number: int, place: int, size: int) -> dict[str, str]:
    try:
        job = _job(folder)
        done = folder / f"done-{number}"
        if done.exists():
            # Ray lost the reply, not the unit.
            return dict(json.loads(done.read_text()))
        with (folder / "tasks").open("rb") as file:
            file.seek(place)
            task = pickle.loads(file.read(size))
        manifest = _done(job, task, folder, number)
        reply = {"unit_id": manifest.unit_id, "rows_digest": manifest.rows_digest}
        partial = done.with_suffix(f".{secrets.token_hex(8)}")
        partial.write_text(json.dumps(reply))
        partial.replace(done)
        return reply
    except Exception as error:
        return {"error": _as_text(error)}


def _job(folder: Path) -> _Job:
    """Return what the units have in common: the stage of a worker keeps its models between units."""
    key = str(folder)
    if not folder.is_dir():
        raise ConfigError(
            f"all machines of the Ray cluster must share the output folder under the same path, and one does not see "
            f"{folder.parent.parent}"
        )
    if key not in _JOBS:
        try:
            job = pickle.loads((folder / "job").read_bytes())
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"all machines of the Ray cluster must have the same mova with its extras: {error}"
            ) from None
        if job.version != package_version():
            raise ConfigError(
                f"all machines of the Ray cluster must have mova {job.version}, and one has {package_version()}"
            )
        former = next((known for known in _JOBS.values() if known.name == job.name), job)
        _JOBS.clear()
        _JOBS[key] = former
    return _JOBS[key]


def _done(job: _Job, task: Task, folder: Path, number: int) -> Manifest:
    for attempt in range(1, job.patience.attempts + 1):
        with suppress(FileExistsError):
            (folder / f"begun-{number}-{attempt}").touch(exist_ok=False)
            return perform(job.stage, task, job.root, job.patience)
    return give_up(
        job.stage,
        task,
        job.root,
        f"{LOST}: the process that worked on it ended {job.patience.attempts} times, perhaps for want of memory",
    )


def _as_text(error: Exception) -> str:
    try:
        written = pickle.dumps(error)
        pickle.loads(written)
    except Exception:
        written = pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return base64.b64encode(written).decode()


def _taken(stage: Stage, reply: Mapping[str, str], root: Path) -> Manifest:
    """Return the manifest of a unit as soon as this machine sees it.

    Raises:
        ConfigError: it does not, though the worker wrote it.
        Exception: what ended the unit and ends the run.
    """
    if reply["error"]:
        raise pickle.loads(base64.b64decode(reply["error"]))
    folder, unit_id = OutputFolder(root), reply["unit_id"]
    deadline = time.monotonic() + _VISIBLE_S
    while True:
        manifest = read_manifest(folder, stage.name, unit_id)
        if manifest is not None and manifest.rows_digest == reply["rows_digest"]:
            return manifest
        if time.monotonic() > deadline:
            raise DataError(
                f"all machines of the Ray cluster must share the output folder, and a worker wrote the unit {unit_id} "
                f"which is not in {root} after {_VISIBLE_S:g} s"
            )
        time.sleep(0.1)
