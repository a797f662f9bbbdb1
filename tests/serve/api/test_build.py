"""Parts of a server, put together; what is wrong is said before anything starts."""

import pytest

from mova.errors import CheckpointError, ConfigError, ReadError
from mova.serve.access.keys import Keys
from mova.serve.api.build import is_loopback, keys_in_force, services_of
from mova.serve.settings import load_settings
from serve_site import served


def test_nobody_beyond_this_machine_is_listened_to_without_keys(tmp_path):
    for host in ("0.0.0.0", "::", "192.168.0.2", "clips.example.org"):
        options = {"data": tmp_path, "host": host}
        with pytest.raises(ConfigError, match=r"needs API keys, got host .*keys create"):
            keys_in_force(load_settings(None, options))
        assert keys_in_force(load_settings(None, {**options, "public_without_keys": True})) is None
    assert keys_in_force(load_settings(None, {"data": tmp_path})) is None
    keys = Keys(tmp_path / "keys.json")
    keys.create("a")
    assert keys_in_force(load_settings(None, {"data": tmp_path, "host": "0.0.0.0"})) is not None
    keys.revoke("a")
    # Whoever had keys once is not opened to everybody.
    assert keys_in_force(load_settings(None, {"data": tmp_path})) is not None


@pytest.mark.parametrize(
    ("host", "is_own"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)],
)
def test_which_addresses_are_of_this_machine(host, is_own):
    assert is_loopback(host) is is_own


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"model": "no-such-model"}, CheckpointError),
        ({"loras": ["none.safetensors"]}, ReadError),
        ({"quantize": "int3"}, ConfigError),
        ({"content_filter": "no_such_module:check"}, ConfigError),
        ({"artifacts": "nothing://x"}, ConfigError),
        ({"data": "/dev/null/x"}, ConfigError),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(tmp_path, options, error):
    with pytest.raises(error), services_of(load_settings(None, {"data": tmp_path / "data", **options})):
        pass


def test_two_servers_on_one_database_see_the_same_jobs(tmp_path):
    with served(tmp_path) as one, served(tmp_path) as two:
        made = one.create()["id"]
        assert two.ask("GET", f"/v1/videos/{made}")["status"] == "queued"
        headers = {"Idempotency-Key": "k"}
        sent = {"prompt": "a blue ball"}
        names = {site.post(json=sent, headers=headers)["id"] for site in (one, two)}
        assert len(names) == 1
        two.begin(made)
        assert one.ask("GET", f"/v1/videos/{made}")["status"] == "in_progress"
        one.post(f"/v1/videos/{made}/cancel")
        assert made in two.progress(made)


def test_the_data_folder_is_for_its_owner_alone(tmp_path):
    with services_of(load_settings(None, {"data": tmp_path / "data"})):
        assert (tmp_path / "data").stat().st_mode & 0o077 == 0
