"""Calls in a child process within limits of time and memory: what a stranger's file does to a decoder ends there.

A decoder can hang, crash or eat memory, and none of these is an exception. The child stays for further calls; one that
is lost is replaced by the next call.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, Final, Generic, Literal, ParamSpec, Protocol, TypeVar, cast

from mova.errors import StageError, portable

_P = ParamSpec("_P")
_T = TypeVar("_T")
LossName = Literal["decoder_timeout", "decoder_crashed", "decoder_memory"]

_LOOK_S: Final = 0.1
_GRACE_S: Final = 20.0
_HEADER_BYTES: Final = 8
_TAIL_BYTES: Final = 2_000


@dataclass(frozen=True)
class Lost:
    """A call that did not come back.

    Attributes:
        name: what happened.
        text: what is known of it.
    """

    name: LossName
    text: str

    @property
    def reason(self) -> str:
        """Reason of a row that fails with it."""
        return f"{self.name}: {self.text}"


@dataclass(frozen=True)
class _Reply(Generic[_T]):
    value: _T | None
    error: BaseException | None = None
    is_out_of_memory: bool = False


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class GuardedProcess:
    """A child process for calls that may not come back. One call at a time.

    Args:
        memory_bytes: resident memory that a call may take; more ends it.
        library_bytes: address space beside it, for the code of libraries and stacks of threads; torch maps much.
    """

    def __init__(self, memory_bytes: int = 2 << 30, library_bytes: int = 3 << 30) -> None:
        self._memory_bytes, self._library_bytes = memory_bytes, library_bytes
        self._child: _Child | None = None

    def call(self, function: Callable[_P, _T], limit_s: float, /, *args: _P.args, **kwargs: _P.kwargs) -> _T | Lost:
        """Call a function in the child.

        Args:
            function: importable by name; arguments and result can be pickled.
            limit_s: seconds after which the call is given up.
            args, kwargs: its arguments.

        Returns:
            What it returns, or how it was lost.

        Raises:
            Exception: what the function raised.
            StageError: no child can be started.
        """
        if self._child is None or not self._child.is_there:
            self.close()
            self._child = _Child(self._memory_bytes, self._library_bytes)
        answer = self._child.ask((function, args, kwargs, limit_s), limit_s)
        if isinstance(answer, Lost):
            self.close()
            return answer
        if answer.is_out_of_memory:
            self.close()
            return Lost("decoder_memory", f"asked for more than {self._memory_bytes} bytes")
        if answer.error is not None:
            raise answer.error
        return cast("_T", answer.value)

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.end()
            self._child = None

    def __enter__(self) -> GuardedProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Child:
    """The process at the other end of two pipes."""

    def __init__(self, memory_bytes: int, library_bytes: int) -> None:
        self._owner, self._memory_bytes = os.getpid(), memory_bytes
        # In a file: nobody would empty a pipe, and a chatty decoder would wait at it.
        self._said: IO[bytes] = tempfile.TemporaryFile("ab+")  # noqa: SIM115 (open as long as the child is)
        # Not by the environment, which is the user's: what can be imported here can be there.
        start = (
            f"import sys; sys.path[:] = {sys.path!r}; "
            f"from mova.files.guarded import serve; serve({memory_bytes + library_bytes})"
        )
        try:
            # Not by multiprocessing: workers of a pool may have no children. Its own session: Ctrl-C is the run's.
            self._process = subprocess.Popen(
                [sys.executable, "-c", start],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                start_new_session=True,
            )
        except OSError as error:
            raise StageError(f"a process for decoders must start: {error}") from error
        self._answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        listener = threading.Thread(target=_listen, args=(self._process.stdout, self._answers), daemon=True)
        listener.start()
        # At the interpreter's end too, while its threads still run.
        self._finish = weakref.finalize(self, _finish, self._process, self._said, listener, os.getpid())

    @property
    def is_there(self) -> bool:
        return self._owner == os.getpid() and self._process.poll() is None

    def ask(self, request: object, limit_s: float) -> _Reply[Any] | Lost:
        deadline = time.monotonic() + limit_s
        try:
            with contextlib.suppress(OSError):
                self._said.truncate(0)
            _send(self._process.stdin, pickle.dumps(request))
            while True:
                try:
                    answer = self._answers.get(timeout=_LOOK_S)
                except queue.Empty:
                    if time.monotonic() > deadline:
                        return Lost("decoder_timeout", f"gave no result within {limit_s:g} s")
                    if (used := self._resident_bytes()) > self._memory_bytes:
                        return Lost("decoder_memory", f"took {used} bytes of at most {self._memory_bytes}")
                    continue
                if answer is None:
                    return self._crashed()
                reply: _Reply[Any] = pickle.loads(answer)
                return reply
        except (BrokenPipeError, ConnectionError):
            return self._crashed()

    def _crashed(self) -> Lost:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5.0)
        code = self._process.returncode
        known = {int(number): number.name for number in signal.Signals}
        how = "ended" if code is None else f"ended by {known.get(-code, -code)}" if code < 0 else f"ended with {code}"
        if code is not None and -code == getattr(signal, "SIGKILL", None):
            # Only the system ends it so: it was short of memory.
            return Lost("decoder_memory", "the system ended the process, as it does when memory is short")
        return Lost("decoder_crashed", f"the process {how}{self._last_words()}")

    def _last_words(self) -> str:
        with contextlib.suppress(OSError, ValueError):
            self._said.seek(0, os.SEEK_END)
            self._said.seek(max(0, self._said.tell() - _TAIL_BYTES))
            lines = self._said.read().decode("utf-8", "replace").strip().splitlines()
            return f": {lines[-1][:200]}" if lines else ""
        return ""

    def _resident_bytes(self) -> int:
        import psutil

        try:
            return int(psutil.Process(self._process.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def end(self) -> None:
        self._finish()


def _finish(process: subprocess.Popen[bytes], said: IO[bytes], listener: threading.Thread, owner: int) -> None:
    if owner != os.getpid():
        return
    if process.poll() is None:
        process.kill()
    process.wait()
    # It holds the pipe until it has read to its end.
    listener.join()
    for pipe in (process.stdin, process.stdout, said):
        with contextlib.suppress(OSError):
            if pipe is not None:
                pipe.close()


def serve(most_bytes: int) -> None:
    """Be the child: answer calls from standard input until it is closed.

    Args:
        most_bytes: address space that the process may take.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # Whatever prints must not print into the answers.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    _limit_memory(most_bytes)
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_take_requests, args=(requests,), daemon=True).start()
    while True:
        _send(answers, pickle.dumps(_answer(requests.get())))


def _answer(request: bytes) -> _Reply[Any]:
    try:
        function, args, kwargs, limit_s = pickle.loads(request)
        # If the parent is gone and this hangs with the interpreter's lock, nothing else would end it.
        faulthandler.dump_traceback_later(limit_s + _GRACE_S, exit=True)
        return _Reply(function(*args, **kwargs))
    except MemoryError:
        return _Reply(None, is_out_of_memory=True)
    except Exception as error:
        causes = (error, error.__cause__, error.__context__)
        if any(isinstance(cause, MemoryError) for cause in causes):
            return _Reply(None, is_out_of_memory=True)
        return _Reply(None, portable(error))
    finally:
        faulthandler.cancel_dump_traceback_later()


def _take_requests(requests: queue.SimpleQueue[bytes]) -> None:
    while (request := _receive(sys.stdin.buffer)) is not None:
        requests.put(request)
    os._exit(0)


def _limit_memory(size_bytes: int) -> None:
    try:
        import resource
    except ImportError:  # not a POSIX system: the parent looks at it alone
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = size_bytes if hard == resource.RLIM_INFINITY else min(size_bytes, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def _listen(pipe: IO[bytes] | None, answers: queue.SimpleQueue[bytes | None]) -> None:
    with contextlib.suppress(OSError, ValueError):
        while pipe is not None and (answer := _receive(pipe)) is not None:
            answers.put(answer)
    answers.put(None)


def _send(pipe: IO[bytes] | None, content: bytes) -> None:
    if pipe is None:
        raise BrokenPipeError
    pipe.write(len(content).to_bytes(_HEADER_BYTES, "little"))
    pipe.write(content)
    pipe.flush()


def _receive(pipe: _Readable) -> bytes | None:
    header = pipe.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES:
        return None
    length = int.from_bytes(header, "little")
    content = pipe.read(length)
    return content if len(content) == length else None
