"""Starts workers, wakes them, and starts them again when they die; nothing here makes a caller wait for a worker."""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from mova.database.database import is_failure
from mova.errors import StageError
from mova.serve.jobs.store import JobStore
from mova.serve.settings import ServeSettings
from mova.serve.worker.process import MOVA, Start

_LOG = logging.getLogger(__name__)
_BACK_OFF_S: Final = (0.2, 1.0, 2.0, 5.0, 10.0, 30.0)
# A worker that has lived for so long has shown that it can.
_LONG_S: Final = 60.0


class Supervisor:
    """Keeps one worker alive.

    Args:
        settings: of the server.
        store: that has the jobs.
        generator: `module:function` of what makes the clips; only tests name another one than the model's.
        options: of the generator, as JSON values.
    """

    def __init__(
        self,
        settings: ServeSettings,
        store: JobStore,
        generator: str = MOVA,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._settings, self._store = settings, store
        self._generator, self._options = generator, options
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._is_over, self._is_ready = threading.Event(), threading.Event()
        self._problem, self._restarts = "the model is being loaded", 0
        self._thread = threading.Thread(target=self._keep, name="supervisor", daemon=True)

    @property
    def is_ready(self) -> bool:
        """Whether the worker is alive and has its model."""
        return self._is_ready.is_set()

    @property
    def problem(self) -> str:
        """Why it is not ready; "" where it is."""
        return "" if self.is_ready else self._problem

    @property
    def restarts(self) -> int:
        """How often a worker had to be started again."""
        return self._restarts

    @property
    def process_id(self) -> int | None:
        """Number of the worker's process; None while there is none."""
        with self._lock:
            return None if self._process is None or self._process.poll() is not None else self._process.pid

    def start(self) -> None:
        """Start the worker, and again whenever it dies."""
        self._thread.start()

    def wait_ready(self, most_s: float) -> bool:
        """Wait until the worker is ready; return whether it is."""
        return self._is_ready.wait(most_s)

    def wake(self) -> None:
        """Say that there is something to do. Never waits."""
        with self._lock:
            if self._process is not None and self._process.stdin is not None:
                # A full pipe means that it has been told often enough.
                with suppress(OSError, ValueError):
                    os.write(self._process.stdin.fileno(), b"\n")

    def stop(self, grace_s: float = 20.0) -> None:
        """Let the worker end between two steps, and end it where it does not."""
        self._is_over.set()
        with self._lock:
            if self._process is not None and self._process.stdin is not None:
                with suppress(OSError):
                    self._process.stdin.close()
        self._thread.join(grace_s)
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                self._process.kill()
        self._thread.join(grace_s)

    def _keep(self) -> None:
        tries = 0
        while not self._is_over.is_set():
            began_s, name = time.monotonic(), _new_name()
            try:
                code = self._run(name)
            except (OSError, StageError) as error:
                code, self._problem = -1, f"no worker can be started: {error}"
            self._is_ready.clear()
            self._lose(name)
            if self._is_over.is_set():
                return
            tries = 0 if time.monotonic() - began_s > _LONG_S else tries + 1
            self._restarts += 1
            wait_s = _BACK_OFF_S[min(tries, len(_BACK_OFF_S)) - 1] if tries else 0.0
            _LOG.warning("the worker has ended with %s; another one starts in %g s", code, wait_s)
            self._is_over.wait(wait_s)

    def _run(self, name: str) -> int:
        """Be there for one worker from its start to its end; return its exit code."""
        # Not by the environment: what can be imported here can be there.
        begin = f"import sys; sys.path[:] = {sys.path!r}; from mova.serve.worker.process import main; sys.exit(main())"
        process = subprocess.Popen(
            [sys.executable, "-c", begin], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert process.stdin is not None, "it was asked for"
        assert process.stdout is not None, "it was asked for"
        with process.stdout:
            try:
                process.stdin.write(Start(name, self._settings.to_json(), self._generator, self._options).to_line())
                process.stdin.flush()
                os.set_blocking(process.stdin.fileno(), False)
                with self._lock:
                    self._process = process
                if self._is_over.is_set():
                    process.stdin.close()
                for line in process.stdout:
                    self._hear(line)
            except BrokenPipeError:
                pass
            finally:
                code = process.wait()
                with self._lock:
                    self._process = None
                with suppress(OSError):
                    process.stdin.close()
        return code

    def _hear(self, line: bytes) -> None:
        if line == b"ready\n":
            self._is_ready.set()
            return
        with suppress(ValueError, KeyError, TypeError):
            self._problem = str(json.loads(line)["failed"])

    def _lose(self, name: str) -> None:
        """Take its jobs from a worker that is dead, without waiting for its leases."""
        try:
            self._store.lose(name)
        except Exception as error:
            # The leases run out by themselves.
            if not is_failure(error):
                _LOG.exception("the jobs of a worker cannot be taken back")


def _new_name() -> str:
    return f"{socket.gethostname()}-{secrets.token_hex(6)}"
