"""A server of jobs without HTTP, in a process of its own: a supervisor with its worker, and a sweeper."""

import contextlib
import json
import subprocess
import sys
import threading

from mova.serve.artifacts import Artifacts
from mova.serve.settings import ServeSettings
from mova.serve.sweeper import Sweeper
from mova.serve.worker.process import open_store
from mova.serve.worker.supervisor import Supervisor


def main():
    given = json.loads(sys.stdin.readline())
    settings = ServeSettings.from_json(given["settings"])
    store = open_store(settings)
    supervisor = Supervisor(settings, store, given["generator"], given["options"])
    sweeper = Sweeper(store, Artifacts(settings.artifacts_url()), every_s=0.2, on_queued=supervisor.wake)
    supervisor.start()
    sweeper.start()

    def tell():
        told = None
        while not is_over.wait(0.02):
            if (found := supervisor.process_id if supervisor.is_ready else None) != told and found is not None:
                told = found
                sys.stdout.write(f"{told}\n")
                sys.stdout.flush()

    is_over = threading.Event()
    threading.Thread(target=tell, daemon=True).start()
    for _ in sys.stdin:
        supervisor.wake()
    is_over.set()
    supervisor.stop()
    sweeper.stop()
    store.database.close()


class JobServer:
    """A running server; `worker` waits for the number of its worker's process."""

    def __init__(self, settings, generator, **options):
        start = f"import sys; sys.path[:] = {sys.path!r}; from job_server import main; main()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", start], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        given = {"settings": settings.to_json(), "generator": generator, "options": options}
        self.process.stdin.write(json.dumps(given) + "\n")
        self.process.stdin.flush()
        self.workers = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self):
        with contextlib.suppress(ValueError):
            for line in self.process.stdout:
                self.workers.append(int(line))

    def wake(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def stop(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(60)
        self._close()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self._close()

    def _close(self):
        self._listener.join(60)
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
