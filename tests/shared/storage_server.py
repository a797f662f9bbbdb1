"""A real S3 server as a process of its own, and a proxy before it that fails on demand."""

from __future__ import annotations

import http.client
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlencode

_HOST = "127.0.0.1"
_POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'


@dataclass
class StorageServer:
    """An S3 server that believes whoever signs, until `keys` are asked for."""

    port: int

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{_HOST}:{self.port}"

    def put(self, path: str, content: bytes = b"", acl: str = "private") -> None:
        """Write an object as "/bucket/name", or make a bucket."""
        self._call("PUT", path, content, Authorization=_signed("s3"), **{"x-amz-acl": acl})

    def remove(self, path: str) -> None:
        """Remove an object."""
        self._call("DELETE", path, Authorization=_signed("s3"))

    def keys(self) -> tuple[str, str]:
        """Return a key and its secret, without which nothing is answered from here on."""
        self._ask({"Action": "CreateUser", "UserName": "u"})
        self._ask({"Action": "PutUserPolicy", "UserName": "u", "PolicyName": "p", "PolicyDocument": _POLICY})
        reply = self._ask({"Action": "CreateAccessKey", "UserName": "u"})
        self._call("POST", "/moto-api/reset-auth", b"0")
        found = [re.search(f"<{name}>(.*?)<", reply) for name in ("AccessKeyId", "SecretAccessKey")]
        key, secret = (match[1] for match in found if match is not None)
        return key, secret

    def reset(self) -> None:
        """Forget all buckets, users and keys."""
        self._call("POST", "/moto-api/reset-auth", b"inf")
        self._call("POST", "/moto-api/reset")

    def _ask(self, form: dict[str, str]) -> str:
        body = urlencode({**form, "Version": "2010-05-08"}).encode()
        return self._call("POST", "/", body, "application/x-www-form-urlencoded", Authorization=_signed("iam")).decode()

    def _call(
        self, method: str, path: str, body: bytes = b"", kind: str = "application/octet-stream", **headers: str
    ) -> bytes:
        with closing(http.client.HTTPConnection(_HOST, self.port, timeout=600)) as connection:
            connection.request(method, path, body, {"Content-Type": kind, **headers})
            reply = connection.getresponse()
            content = reply.read()
            assert reply.status < 300, (method, path, reply.status, content)
            return content


def _signed(service: str) -> str:
    return f"AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"


@contextmanager
def serve_storage() -> Iterator[StorageServer]:
    """Start the server, which ends with the block."""
    with socket.socket() as free:
        free.bind((_HOST, 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", _HOST, "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        server = StorageServer(port)
        deadline = time.monotonic() + 600
        while True:
            try:
                server.reset()
                break
            except OSError:
                assert process.poll() is None, "the server ended"
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield server
    finally:
        process.kill()
        process.wait()


@dataclass
class Proxy:
    """Passes requests on to a server.

    Attributes:
        port: where it listens.
        faults: of the next requests for contents, in order: "503" answers that, "break" ends the connection after half
            of the body; the last one stays in force where `always` is set.
        always: whether the last fault stays.
        only: path whose requests fail; "" is any.
        asked: requests so far, as "METHOD path".
    """

    port: int = 0
    faults: list[str] = field(default_factory=list)
    always: bool = False
    only: str = ""
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{_HOST}:{self.port}"

    def reset(self, *faults: str, always: bool = False, only: str = "") -> None:
        """Fail the next requests for contents so."""
        self.faults, self.always, self.only = list(faults), always, only
        self.asked.clear()

    def next_fault(self, path: str) -> str:
        """Return what goes wrong with a request."""
        if not self.faults or self.only not in {"", path}:
            return ""
        return self.faults[0] if self.always and len(self.faults) == 1 else self.faults.pop(0)


@contextmanager
def proxy_before(server: StorageServer) -> Iterator[Proxy]:
    """Start a proxy before a server, which ends with the block."""
    proxy = Proxy()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def pass_on(self) -> None:
            """Do a request, or fail it."""
            proxy.asked.append(f"{self.command} {self.path}")
            is_object = self.command == "GET" and "?" not in self.path
            fault = proxy.next_fault(self.path) if is_object else ""
            if fault == "503":
                self.send_response(503)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            with closing(http.client.HTTPConnection(_HOST, server.port, timeout=600)) as connection:
                connection.request(self.command, self.path, headers=dict(self.headers))
                reply = connection.getresponse()
                content = reply.read()
            self.send_response(reply.status)
            for name, value in reply.getheaders():
                if name.lower() not in {"connection", "date", "server", "transfer-encoding", "content-length"}:
                    self.send_header(name, value)
            length = reply.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(content[: len(content) // 2] if fault == "break" else content)
                self.wfile.flush()
            if fault == "break":
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

        do_GET = do_HEAD = pass_on  # noqa: N815

    with ThreadingHTTPServer((_HOST, 0), Handler) as listener:
        listener.daemon_threads = True
        proxy.port = listener.server_address[1]
        thread = threading.Thread(target=listener.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield proxy
        finally:
            listener.shutdown()
            thread.join()
