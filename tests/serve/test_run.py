"""A server from its start to its end, as a process."""

import json
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx2
import pytest

from mova.errors import ConfigError
from mova.serve.run import pages_of, says_public, serve
from mova.serve.settings import load_settings
from mova.serve.worker.process import STAND_IN

_LONG_S = 300


@contextmanager
def started(data, **options):
    """Give a server in a process of its own, with a stand-in for the model: the process and a client."""
    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "import json, logging\n"
        "from mova.serve.run import serve\n"
        "from mova.serve.settings import load_settings\n"
        "data, options = json.loads(sys.argv[1])\n"
        "say = lambda address: print(address, flush=True)\n"
        "settings = load_settings(None, {'data': data, 'port': 0, 'limits.decoders': 1, 'checkpoint_every': 1})\n"
        "try:\n"
        f"    serve(settings, say, generator={STAND_IN!r}, options=options)\n"
        "except KeyboardInterrupt:\n"
        "    print('ended', flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, json.dumps([str(data), options])], stdout=subprocess.PIPE, text=True
    )
    try:
        address = process.stdout.readline().strip()
        with httpx2.Client(base_url=address, timeout=_LONG_S) as client:
            yield process, client
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


def wait_for(client, name, *statuses):
    """Wait until a clip has one of these statuses; return what is said of it."""
    for _ in range(3000):
        said = client.get(f"/v1/videos/{name}").json()
        if said["status"] in statuses:
            return said
        time.sleep(0.02)
    raise AssertionError(said)


def test_a_clip_is_made_and_one_that_is_begun_goes_on_after_the_next_start(tmp_path):
    with started(tmp_path, step_s=0.02, steps=3) as (process, client):
        made = client.post("/v1/videos", json={"prompt": "a", "seed": 5}).json()["id"]
        said = wait_for(client, made, "completed", "failed")
        assert (said["status"], said["error"]) == ("completed", None)
        content = client.get(f"/v1/videos/{made}/content").content
        assert b"ftyp" in content[:40]
        assert client.get(f"/v1/videos/{made}/content?variant=thumbnail").content
        assert client.get("/ready").json()["status"] == "ready"
        process.send_signal(signal.SIGINT)
        assert process.wait(_LONG_S) == 0
        assert process.stdout.read() == "ended\n"
    with started(tmp_path, step_s=0.3, steps=8) as (process, client):
        again = client.post(f"/v1/videos/{made}/duplicate").json()["id"]
        wait_for(client, again, "in_progress")
        process.send_signal(signal.SIGTERM)
        process.wait(_LONG_S)
    with started(tmp_path, step_s=0.01, steps=8) as (_, client):
        said = wait_for(client, again, "completed", "failed")
        assert (said["status"], said["seed"]) == ("completed", 5)
        assert client.get(f"/v1/videos/{made}/content").content == content
        assert len(client.get("/v1/videos").json()["data"]) == 2


def test_an_address_that_is_taken_is_said_without_a_worker(tmp_path):
    with started(tmp_path / "one") as (_, client):
        port = client.base_url.port
        with pytest.raises(ConfigError, match=f"listen at 127.0.0.1 port {port}"):
            serve(load_settings(None, {"data": tmp_path / "two", "port": port, "limits.decoders": 1}))


def test_whoever_is_open_to_all_is_warned():
    assert says_public(load_settings()) is None
    assert says_public(load_settings(None, {"public_without_keys": True})) is None
    assert "no API keys" in says_public(load_settings(None, {"host": "0.0.0.0", "public_without_keys": True}))


def test_a_server_may_do_without_the_page():
    assert pages_of(load_settings(None, {"page": False})) == {}
    assert set(pages_of(load_settings())) == {"/", "/icon.svg"}
