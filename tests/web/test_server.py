"""Listening at an address."""

import asyncio
import os
import signal
import socket
import threading

import pytest

from mova.errors import ConfigError
from mova.web.server import run_server


def test_an_address_that_is_taken_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"must be able to listen at 127.0.0.1 port {port}"):
            run_server(object(), "127.0.0.1", port, print, extra="serve")


def test_an_address_that_is_none_is_refused():
    with pytest.raises(ConfigError, match=r"must be able to listen at nowhere\.invalid"):
        run_server(object(), "nowhere.invalid", 0, print, extra="serve")


def test_whoever_waits_is_told_before_a_server_ends():
    found = []

    async def app(scope, receive, send):
        await asyncio.sleep(0)

    def ready(port):
        found.append(port)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        run_server(app, "127.0.0.1", 0, ready, extra="serve", on_stop=lambda: found.append("stop"))
    assert found[1:] == ["stop"]
