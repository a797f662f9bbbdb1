"""Media from addresses: off, then never from a private one."""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mova.serve.faults import FieldError
from mova.serve.intake.fetch import fetch, is_public
from mova.serve.settings import FetchSection

ON = FetchSection(enabled=True, limit_s=5.0, redirects=2)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
        elif self.path == "/slow":
            self.send_response(200)
            self.end_headers()
            with __import__("contextlib").suppress(OSError):
                for _ in range(100):
                    self.wfile.write(b"x")
                    time.sleep(0.05)
        elif self.path == "/none":
            self.send_error(404)
        else:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"abc" * 100)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def anywhere(_address):
    return True


def refused(url, target, settings=ON, most=1000, **options):
    with pytest.raises(FieldError) as found:
        fetch(url, target, settings, most, **options)
    return found.value


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.1",
            "172.16.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "224.0.0.1",
        ),
        *("::1", "fe80::1", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::", "ff02::1"),
        *("64:ff9b::7f00:1", "2002:7f00:1::", "255.255.255.255", "198.18.0.1", "192.0.2.1", "240.0.0.1"),
    ],
)
def test_addresses_of_private_networks_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_addresses_of_the_open_network_are_public(address):
    assert is_public(address)


def test_nothing_is_fetched_unless_it_is_allowed(address, tmp_path):
    assert refused(f"{address}/x", tmp_path / "x", FetchSection()).code == "no_fetch"
    assert refused(f"{address}/x", tmp_path / "x").code == "fetch_refused"
    assert not (tmp_path / "x").exists()


def test_what_is_allowed_is_fetched_over_redirects(address, tmp_path):
    fetch(f"{address}/to//to//x", tmp_path / "x", ON, 1000, is_allowed=anywhere)
    assert (tmp_path / "x").read_bytes() == b"abc" * 100
    assert "2 redirects" in refused(f"{address}/to//to//to//x", tmp_path / "y", is_allowed=anywhere).text


def test_every_redirect_is_looked_at(address, tmp_path):
    found = refused(f"{address}/to/http://127.0.0.2:1/x", tmp_path / "x", is_allowed=lambda one: one == "127.0.0.1")
    assert found.code == "fetch_refused"
    for url in ("file:///etc/passwd", "ftp://a/b", "http://u:p@127.0.0.1/"):
        assert refused(f"{address}/to/{url}", tmp_path / "x", is_allowed=anywhere).code == "fetch_refused"


def test_a_name_is_resolved_once_and_one_private_address_of_several_is_enough(address, tmp_path, monkeypatch):
    asked = []

    def resolve(host, port, **_):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in ("127.0.0.1", "127.0.0.3")]

    port = address.rpartition(":")[2]
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    found = refused(f"http://a.example:{port}/x", tmp_path / "x", is_allowed=lambda one: one == "127.0.0.1")
    assert (found.code, asked) == ("fetch_refused", ["a.example"])


def test_too_much_too_slow_and_no_answer_are_refused(address, tmp_path):
    target = tmp_path / "x"
    assert refused(f"{address}/x", target, most=100, is_allowed=anywhere).code == "too_large"
    assert "404" in refused(f"{address}/none", target, is_allowed=anywhere).text
    slow = FetchSection(enabled=True, limit_s=0.3)
    assert "too long" in refused(f"{address}/slow", target, slow, is_allowed=anywhere).text
    with socket.create_server(("127.0.0.1", 0)) as idle:
        port = idle.getsockname()[1]
        assert "too long" in refused(f"http://127.0.0.1:{port}/", target, slow, is_allowed=anywhere).text
    assert refused(f"http://127.0.0.1:{port}/", target, slow, is_allowed=anywhere).code == "fetch_failed"


@pytest.mark.parametrize(
    "url",
    ["http://", "http://a b/", "http://[::1", "http://a:0/", "http://a:99999/", "http://ä/", "gopher://a/", "x" * 5000],
)
def test_what_is_no_address_is_refused(url, tmp_path):
    assert refused(url, tmp_path / "x", is_allowed=anywhere).code == "fetch_refused"
