"""A server from its start to its end, as a process."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx2
import pytest

from mova.errors import ConfigError
from mova.serve.access.keys import Keys
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


def test_two_servers_on_one_folder_make_each_clip_once_and_one_goes_on_where_the_other_was_killed(tmp_path):
    options = {"step_s": 0.1, "steps": 6}
    with started(tmp_path, **options) as (first, one), started(tmp_path, **options) as (_, two):
        # Another program holds the database for longer than anybody waits for it.
        holder = sqlite3.connect(tmp_path / "jobs.sqlite3", isolation_level=None)
        running = one.post("/v1/videos", json={"prompt": "a", "seed": 0}).json()["id"]
        wait_for(one, running, "in_progress")
        holder.execute("BEGIN IMMEDIATE")
        refused = two.post("/v1/videos", json={"prompt": "a"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unavailable")
        assert two.get(f"/v1/videos/{running}").json()["status"] == "in_progress"
        holder.execute("ROLLBACK")
        holder.close()
        clients = [one, two]
        names = [clients[n % 2].post("/v1/videos", json={"prompt": "a", "seed": n}).json()["id"] for n in range(1, 7)]
        wait_for(two, names[1], "completed")
        # Its worker ends by itself, and gives back what it was at.
        first.kill()
        said = [wait_for(two, name, "completed", "failed") for name in [running, *names]]
        assert [(one["status"], one["seed"]) for one in said] == [("completed", seed) for seed in range(7)]
        assert len(two.get("/v1/videos").json()["data"]) == 7
    assert len(list((tmp_path / "artifacts").rglob("*.mp4"))) == 7


def test_an_address_that_is_taken_is_said_without_a_worker(tmp_path):
    with started(tmp_path / "one") as (_, client):
        port = client.base_url.port
        with pytest.raises(ConfigError, match=f"listen at 127.0.0.1 port {port}"):
            serve(load_settings(None, {"data": tmp_path / "two", "port": port, "limits.decoders": 1}))


def test_whoever_is_open_to_all_is_warned(tmp_path):
    def warned(**options):
        return says_public(load_settings(None, {"data": tmp_path, **options}))

    assert warned() is None
    assert warned(public_without_keys=True, hosts=["localhost"]) is None
    assert "reaches this address may make clips" in warned(host="0.0.0.0", public_without_keys=True)
    # Behind a reverse proxy it listens to this machine alone, and is reached all the same.
    assert "reaches this server as clips.example.org may" in warned(hosts=["clips.example.org"])
    Keys(tmp_path / "keys.json").create("a")
    assert warned(hosts=["clips.example.org"]) is None
    assert warned(host="0.0.0.0", public_without_keys=True) is None


def test_a_server_may_do_without_the_page():
    assert pages_of(load_settings(None, {"page": False})) == {}
    assert set(pages_of(load_settings())) == {"/", "/icon.svg"}
