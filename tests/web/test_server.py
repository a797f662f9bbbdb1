"""Listening at an address."""

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


async def answer(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def while_served(work, **options):
    """Do something with the port of a server, in a thread, and end the server; return what was found."""
    found = []

    def ready(port):
        def done():
            try:
                found.append(work(port))
            finally:
                os.kill(os.getpid(), signal.SIGINT)

        threading.Timer(0.2, done).start()

    with pytest.raises(KeyboardInterrupt):
        run_server(answer, "127.0.0.1", 0, ready, extra="serve", **options)
    return found


def test_whoever_waits_is_told_before_a_server_ends():
    told = []
    assert while_served(lambda port: port, on_stop=lambda: told.append("stop"))
    assert told == ["stop"]


def test_a_connection_that_says_nothing_or_too_little_is_ended():
    head = b"GET / HTTP/1.1\r\nHost: a\r\n"

    def silent(port):
        ended = []
        for sent in (b"", head[:9], head + b"\r\n" + head):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.settimeout(300)
                connection.sendall(sent)
                said = b""
                while part := connection.recv(4096):
                    said += part
                ended.append(said)
        return ended

    (said,) = while_served(silent, silence_s=0.2)
    assert [one[:15] for one in said] == [b"", b"", b"HTTP/1.1 200 OK"]
