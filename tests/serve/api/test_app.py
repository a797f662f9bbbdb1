"""Routes, headers, and what is said where there is no route."""

import re
import select
import socket
import time

import pytest

from mova.serve.api.app import PageFile
from serve_bodies import BOUNDARY, form
from serve_site import PROMPT, served


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pages = {"/": PageFile("<p>page</p>", headers={"Content-Security-Policy": "default-src 'self'"})}
    limits = {"limits.upload_bytes": 100_000, "limits.incoming_bytes": 150_000}
    with served(tmp_path_factory.mktemp("site"), pages, **limits) as made:
        yield made


def raw(site, content, wait_s=5.0):
    """Send bytes and return what is answered until the other end closes or is silent."""
    with socket.create_connection(("127.0.0.1", site.port), wait_s) as connection:
        connection.sendall(content)
        connection.settimeout(wait_s)
        read = b""
        try:
            while part := connection.recv(65536):
                read += part
                if b"\r\n\r\n" in read and b"connection: close" not in read.lower():
                    break
        except (TimeoutError, ConnectionResetError):
            pass
    return read


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v1/videos", 200), ("GET", "/none", 404), ("PUT", "/v1/videos", 405)]
)
def test_every_reply_has_the_headers_of_security_and_the_name_of_its_request(site, method, path, status):
    reply = site.client.request(method, path, headers={"Origin": site.url})
    assert reply.status_code == status
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["x-frame-options"] == "DENY"
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert reply.headers["cache-control"] == "no-store"
    assert re.fullmatch(r"req_[0-9a-f]{16}", reply.headers["x-request-id"])
    assert not any(name.startswith("access-control") for name in reply.headers)
    if status != 200:
        assert reply.json()["error"]["message"]


def test_pages_have_headers_of_their_own(site):
    reply = site.client.get("/")
    assert (reply.text, reply.headers["content-type"]) == ("<p>page</p>", "text/html; charset=utf-8")
    assert reply.headers["content-security-policy"] == "default-src 'self'"
    assert reply.headers["x-frame-options"] == "DENY"


def test_another_site_gets_no_leave_to_ask(site):
    reply = site.client.options(
        "/v1/videos", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    )
    assert reply.status_code == 405
    assert not any(name.startswith("access-control") for name in reply.headers)


@pytest.mark.parametrize("host", ["evil.example", f"evil.example:{80}", ""])
def test_a_name_that_was_made_to_lead_here_is_refused_with_all_headers(site, host):
    reply = site.client.get("/v1/videos", headers={"Host": host})
    assert reply.status_code in (400, 421)
    if reply.status_code == 421:
        assert reply.headers["x-frame-options"] == "DENY"
        assert reply.json()["error"]["code"] == "unknown_host"


def test_lines_of_log_have_no_path_of_a_stranger(site, caplog):
    caplog.set_level("INFO", "mova.serve.access.gate")
    site.client.get("/secret%0d%0ainjected?key=secret")
    site.client.get("/v1/videos?search=secret")
    assert caplog.messages
    assert not any("secret" in line or "injected" in line for line in caplog.messages)


def test_a_body_that_is_too_large_is_cut_off_while_it_comes(site):
    head = b"POST /v1/videos HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=edge\r\n"
    said = raw(site, head + b"Content-Length: 99999999999\r\n\r\n")
    assert b" 413 " in said
    chunk = b"%x\r\n" % 60_000 + b"x" * 60_000 + b"\r\n"
    said = raw(site, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 3)
    # Whoever goes on sending may find the connection gone before the answer is read.
    assert not said or b" 413 " in said
    assert site.files() == []


def test_a_sender_that_goes_away_in_the_middle_leaves_nothing_and_no_job(site):
    site.clear()
    content = form(("prompt", PROMPT), ("image", "a.png", b"\x89PNG" + b"x" * 50_000))
    head = (
        "POST /v1/videos HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    for share in (0.1, 0.5, 0.99):
        with socket.create_connection(("127.0.0.1", site.port)) as connection:
            connection.sendall(head.encode() + content[: int(len(content) * share)])
    deadline = time.monotonic() + 10
    while site.files() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert site.files() == []
    assert site.ask("GET", "/v1/videos")["data"] == []


def begin_upload(site):
    """Return a connection over which most of a request has come, and no more comes."""
    head = b"POST /v1/videos HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    connection = socket.create_connection(("127.0.0.1", site.port))
    connection.sendall(head + b"Content-Length: 90000\r\n\r\n" + b" " * 80_000)
    return connection


def test_requests_that_come_at_a_time_have_so_many_bytes_together(site):
    sent = {"prompt": PROMPT, "image": "data:image/png;base64," + "A" * 80_000}
    slow = begin_upload(site)
    deadline = time.monotonic() + 20
    while (reply := site.client.post("/v1/videos", json=sent)).status_code != 503 and time.monotonic() < deadline:
        if select.select([slow], [], [], 0.05)[0]:
            # The other one was read first, and there was no room for this one.
            slow.close()
            slow = begin_upload(site)
    with slow:
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "busy")
        assert int(reply.headers["retry-after"]) > 0
        # Small ones still come in.
        site.post(json={"prompt": PROMPT})
    deadline = time.monotonic() + 10
    while (reply := site.client.post("/v1/videos", json=sent)).status_code == 503 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert reply.status_code == 400
