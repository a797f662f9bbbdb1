"""A server of the API on the loopback, in a thread; jobs are done by the hand of the test."""

import json
import socket
import threading
from contextlib import contextmanager

import httpx2
import uvicorn

from mova.serve.api.app import make_app
from mova.serve.api.build import services_of
from mova.serve.jobs.records import Progress
from mova.serve.settings import load_settings

PROMPT = "a red ball bounces on a metal floor"
IMAGES = ("thumbnail", "waveform", "spritesheet")
CLIP = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 40


class Site:
    """A server that runs.

    Attributes:
        url: of it.
        client: that asks it.
        services: its parts.
        wakes: how often workers were told that something waits.
    """

    def __init__(self, url, services, events):
        self.url, self.services, self.events, self.wakes = url, services, events, []
        self.store, self.artifacts = services.store, services.artifacts
        self.client = httpx2.Client(base_url=url, timeout=300)

    def post(self, path="/v1/videos", status=200, **options):
        """Post and return what is answered."""
        return self.ask("POST", path, status, **options)

    def ask(self, method, path, status=200, **options):
        """Ask and return what is answered."""
        reply = self.client.request(method, path, **options)
        assert reply.status_code == status, (reply.status_code, reply.text)
        return reply.json()

    def create(self, prompt=PROMPT, **fields):
        """Queue a clip and return what is said of it."""
        return self.post(json={"prompt": prompt, **fields})

    def begin(self, name, worker="hand"):
        """Claim until a job runs; those before it are put back to the end."""
        while True:
            jobs = self.store.claim(worker, self.services.offer.name, 60.0)
            assert jobs, "the job waits"
            if jobs[0].id == name:
                return jobs[0]
            self.store.release(jobs[0].id, worker)
            self.store.move(jobs[0].id, None)

    def progress(self, name, stage="sampling", done=5, total=10, worker="hand"):
        """Say how far a job is; return whether it is to stop."""
        return self.store.renew(worker, 60.0, {name: Progress(stage, done, total, 100.0 * done / total, 3.0)})

    def finish(self, name, content=CLIP, worker="hand"):
        """End a job well."""
        job = self.begin(name, worker)
        made = {"video": content} | {kind: b"\x89PNG " + kind.encode() for kind in IMAGES}
        names = {}
        for kind, written in made.items():
            names[kind] = self.artifacts.made_by(name, job.attempt, kind, "mp4" if kind == "video" else "png")
            self.artifacts.put(names[kind], written)
        assert self.store.finish(name, worker, names, {"inference_s": 2.0, "peak_memory_mb": 10})
        return names

    def files(self):
        """Return all files of the data folder but the database's and the keys'."""
        root = self.services.settings.data
        found = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
        return sorted(name for name in found if not name.startswith(("jobs.sqlite3", "keys.json", ".keys")))

    def clear(self):
        """Remove all jobs and files."""
        while jobs := self.store.page(limit=100).jobs:
            for job in jobs:
                self.store.doom(job.id)
                self.store.release(job.id, "hand")
        self.store.remove_doomed(self.artifacts)
        self.store.resume()


@contextmanager
def served(folder, pages=None, **options):
    """Give a server with a data folder."""
    settings = load_settings(None, {"data": folder / "data", "limits.decoders": 1, **options})
    wakes = []
    with services_of(settings, lambda: wakes.append(1)) as services:
        app, events = make_app(services, pages)
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=3)
        server = uvicorn.Server(config)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
            thread.start()
            site = Site(f"http://127.0.0.1:{port}", services, events)
            site.wakes, site.port = wakes, port
            try:
                yield site
            finally:
                site.client.close()
                events.close()
                server.should_exit = True
                thread.join(20)
                assert not thread.is_alive(), "the server has ended"


def events_of(reply, count):
    """Return (name, value) of the first events of a stream, without those that only keep it alive."""
    found, name = [], ""
    for line in reply.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            found.append((name, json.loads(line.removeprefix("data: "))))
            if len(found) == count:
                break
    return found
