"""By which name, from which page and with which key a server is called."""

import logging
from types import SimpleNamespace

import pytest

from mova.serve.access.gate import NOBODY, Gate, RequestIdFilter, secret_of
from mova.serve.access.keys import Keys
from mova.serve.settings import load_settings
from mova.web.refusals import RefusedError


def request(headers=(), cookies=()):
    return SimpleNamespace(headers=dict(headers), cookies=dict(cookies), client=SimpleNamespace(host="10.0.0.1"))


@pytest.fixture
def keys(tmp_path):
    return Keys(tmp_path / "keys.json")


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8500", "127.0.0.1", "[::1]:8500", "localhost:1", "me.localhost", "192.168.0.7:80", "pc:1"]
)
def test_names_of_this_machine_addresses_and_given_names_are_known(host):
    Gate(load_settings(None, {"hosts": ["PC"]}), None).check("GET", {"host": host})


@pytest.mark.parametrize("host", ["", "evil.example", "127.0.0.1.evil.example:8500", "localhost.evil.example", ":80"])
def test_a_foreign_name_is_refused_as_one_that_was_made_to_lead_here(host):
    with pytest.raises(RefusedError, match="does not answer under this name") as refused:
        Gate(load_settings(), None).check("GET", {"host": host})
    assert refused.value.status == 421


def test_with_keys_any_name_will_do_unless_names_are_given(keys):
    Gate(load_settings(), keys).check("GET", {"host": "clips.example.org"})
    with pytest.raises(RefusedError):
        Gate(load_settings(None, {"hosts": ["a.example"]}), keys).check("GET", {"host": "clips.example.org"})


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:8500"},
    ],
)
def test_what_another_page_sends_changes_nothing(headers):
    gate = Gate(load_settings(), None)
    with pytest.raises(RefusedError, match="belongs to the page"):
        gate.check("POST", {"host": "127.0.0.1:8500", **headers})
    gate.check("GET", {"host": "127.0.0.1:8500", **headers})


def test_our_own_page_and_programs_may_send():
    gate = Gate(load_settings(), None)
    gate.check("POST", {"host": "127.0.0.1:8500", "origin": "http://127.0.0.1:8500", "sec-fetch-site": "same-origin"})
    gate.check("DELETE", {"host": "127.0.0.1:8500"})


def test_without_keys_everybody_is_nobody_and_sees_all():
    gate = Gate(load_settings(), None)
    assert not gate.needs_key
    assert gate.caller(request()) is NOBODY
    assert NOBODY.sees is None


def test_a_key_says_who_asks_in_a_header_or_a_cookie(keys):
    gate = Gate(load_settings(), keys)
    made, secret = keys.create("a")
    _, ruling = keys.create("b", is_admin=True)
    caller = gate.caller(request({"authorization": f"Bearer {secret}"}))
    assert (caller.owner, caller.name, caller.sees, caller.quota) == (made.id, "a", made.id, load_settings().quota)
    assert gate.caller(request(cookies={"mova_key": secret})) == caller
    assert gate.admin(request({"authorization": f"bearer {ruling}"})).sees is None
    with pytest.raises(RefusedError, match="administrator"):
        gate.admin(request({"authorization": f"Bearer {secret}"}))
    assert secret_of(request({"authorization": "Basic abc"})) == ""


def test_no_key_and_a_wrong_key_are_refused_alike_and_guessing_is_slow(keys):
    gate = Gate(load_settings(), keys)
    for headers in ({}, {"authorization": "Bearer nonsense"}):
        with pytest.raises(RefusedError) as refused:
            gate.caller(request(headers))
        assert (refused.value.status, refused.value.code) == (401, "invalid_api_key")
    for _ in range(40):
        with pytest.raises(RefusedError) as refused:
            gate.caller(request({"authorization": "Bearer nonsense"}))
    assert refused.value.status == 429


def test_a_damaged_file_of_keys_lets_nobody_in(keys):
    keys.path.write_text("{")
    with pytest.raises(RefusedError) as refused:
        Gate(load_settings(), keys).caller(request({"authorization": "Bearer mova_" + "a" * 43}))
    assert refused.value.status == 503


def test_lines_of_log_name_the_request():
    record = logging.LogRecord("a", logging.INFO, "f", 1, "text", (), None)
    assert RequestIdFilter().filter(record)
    assert record.request_id == "-"
