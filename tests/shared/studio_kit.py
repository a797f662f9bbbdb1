"""A whole server with its page in a process of its own, killed and started again as tests like; and its page."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

from fixtures_browser import DESK

KNOWN = "a red ball bounces on a wooden floor"
STAND_IN = "mova.serve.worker.stand_in:make_stand_in"
MODEL = "mova.serve.worker.mova_generator:make_generator"


def main():
    """Serve until the end of the process."""
    from mova.serve.run import serve
    from mova.serve.settings import load_settings

    threading.Thread(target=_end_with_the_tests, daemon=True).start()
    # As the command does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    given = json.loads(sys.argv[1])
    with contextlib.suppress(KeyboardInterrupt):
        serve(load_settings(None, given["settings"]), _say, generator=given["generator"], options=given["options"])


def _end_with_the_tests():
    """Leave nothing behind, however the tests end; the worker ends with the server."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(1)


def _say(address):
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()


class Studio:
    """A running server.

    Args:
        data: its folder.
        generator: of its clips.
        settings: over the usual ones.
        options: of the generator.
    """

    def __init__(self, data, generator=STAND_IN, settings=None, **options):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        said = {"data": str(data), "model": "mova-tiny", "port": self.port, **(settings or {})}
        self._given = json.dumps({"settings": said, "generator": generator, "options": options})
        self.address = f"http://127.0.0.1:{self.port}/"
        self.start()

    def start(self):
        code = f"import sys; sys.path[:] = {sys.path!r}; from studio_kit import main; main()"
        command = [sys.executable, "-c", code, self._given]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        if self._process.stdout.readline().strip() != self.address:
            self.kill()
            raise AssertionError("the server does not begin")

    def kill(self):
        """End it at once, as a power failure does; its worker ends by itself."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def end(self):
        """Ask it to end, and return its exit code; None where it does not."""
        self._process.terminate()
        try:
            return self._process.wait(120)
        except subprocess.TimeoutExpired:
            return None

    def stop(self):
        self.end()
        self.kill()

    def call(self, method, path, value=None):
        body = None if value is None else json.dumps(value).encode()
        request = urllib.request.Request(
            f"{self.address}{path}", body, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=300) as reply:
            return json.load(reply)

    def clips(self):
        return self.call("GET", "v1/videos?limit=100")["data"]

    def clear(self):
        self.call("POST", "v1/queue/resume")
        for clip in self.clips():
            self.call("DELETE", f"v1/videos/{clip['id']}")

    def wait_ready(self, most_s=120.0):
        until = time.monotonic() + most_s
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                if self.call("GET", "ready"):
                    return
            time.sleep(0.1)
        raise AssertionError("no worker is ready")


def until(page, is_so, what="", most_s=120.0):
    """Wait for something; the policy of the page forbids playwright's own way, which evaluates a text in it."""
    end = time.monotonic() + most_s
    while time.monotonic() < end:
        if is_so():
            return
        page.wait_for_timeout(50)
    pytest.fail(f"{what or 'it'} does not come; the page says: {page.locator('body').inner_text()[:1500]}")


def opened(visit, studio, size=DESK, **options):
    """Open the page of a server, and wait until it is there."""
    seen = visit(studio.address, size, **options)
    seen.page.wait_for_selector("#studio:not([hidden])")
    return seen


def describe(page, text=KNOWN, *, more=False):
    """Write a prompt, and take it as it is."""
    page.fill("#prompt", text)
    page.evaluate("document.getElementById('more').open = true")
    page.uncheck("#first")
    if not more:
        page.evaluate("document.getElementById('more').open = false")


def has(page, selector):
    """Ask whether a page has an element."""
    return lambda: page.locator(selector).count() > 0


def says(page, selector, text):
    """Ask whether an element has a text."""
    return lambda: text in page.locator(selector).inner_text()


def complaints(seen):
    """Return what the browser complained of; that requests end with the page that made them is none."""
    return [one for one in seen.complaints if not one.endswith(": net::ERR_ABORTED")]


def foreign(seen, studio):
    """Return what was asked of others than the server."""
    return [one for one in seen.requests if not one.startswith(studio.address)]


def faults(page):
    """Return what axe finds."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [(one["id"], one["impact"], [node["html"][:100] for node in one["nodes"]]) for one in found]
