"""Calls of a server."""

import asyncio
import json
import threading

import pytest

from mova.errors import ConfigError
from mova.web.calls import aside, guarded, json_reply
from mova.web.refusals import RefusedError


def outcome(error, **options):
    async def call(request):
        raise error

    reply = asyncio.run(guarded(call, lambda failed: isinstance(failed, OSError), **options)(None))
    return reply.status_code, json.loads(reply.body), reply.headers.get("retry-after")


def test_a_reply_goes_through():
    async def call(request):
        return json_reply({"a": request}, 201)

    reply = asyncio.run(guarded(call, lambda _: False)(1))
    assert (reply.status_code, json.loads(reply.body)) == (201, {"a": 1})


def test_refusals_and_wrong_forms_are_replies():
    assert outcome(RefusedError(404, "gone", "It is gone.")) == (404, {"error": "gone", "text": "It is gone."}, None)
    assert outcome(RefusedError(429, "many", "Wait.", 1.2))[2] == "2"
    assert outcome(ConfigError("a is b")) == (400, {"error": "wrong_form", "text": "a is b"}, None)


def test_a_failed_database_says_nothing_of_itself(caplog):
    status, body, _ = outcome(OSError("/secret"))
    assert status == 503
    assert "/secret" not in str(body)
    assert "/secret" in caplog.text


def test_a_fault_is_the_frameworks():
    with pytest.raises(KeyError):
        outcome(KeyError("a"))


def test_a_server_has_its_own_form_of_a_refusal():
    assert outcome(ConfigError("a"), body=lambda refusal: {"code": refusal.code})[1] == {"code": "wrong_form"}


def test_waiting_happens_in_another_thread():
    assert asyncio.run(aside(threading.get_ident)) != threading.get_ident()
