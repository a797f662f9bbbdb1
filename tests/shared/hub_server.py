"""A server on the loopback that answers as the hub does, for a folder of files."""

import contextlib
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LFS_BYTES = 50_000


class Hub:
    """What is served, and what was asked.

    Attributes:
        files: content by name; larger ones are in LFS.
        corrupt: names whose content is sent with a bit changed.
        stop_after: bytes after which a transfer breaks off for good; None sends all.
        requests: (method, path, range) of every request.
    """

    def __init__(self, files):
        self.files, self.corrupt, self.stop_after, self.requests = dict(files), set(), None, []
        self.states = {}
        self.stalled = threading.Event()
        self.freed = threading.Event()

    def sibling(self, name):
        content = self.files[name]
        git = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        entry = {"rfilename": name, "size": len(content), "blobId": git}
        if len(content) > LFS_BYTES:
            entry["lfs"] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "pointerSize": 130}
        return entry | self.states.get(name, {})

    def info(self):
        return {"id": "owner/name", "sha": COMMIT, "siblings": [self.sibling(name) for name in self.files]}


@contextlib.contextmanager
def serve(hub):  # noqa: C901
    """Serve until the end of the block; gives the endpoint."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self.answer(has_body=False)

        def do_GET(self):
            self.answer(has_body=True)

        def answer(self, *, has_body):
            hub.requests.append((self.command, self.path, self.headers.get("Range")))
            path = self.path.partition("?")[0]
            if path in ("/api/models/owner/name", "/api/models/owner/name/revision/v1"):
                return self.send(json.dumps(hub.info()).encode(), {}, has_body)
            name = path.removeprefix(f"/owner/name/resolve/{COMMIT}/")
            if name == path or name not in hub.files:
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound" if name != path else "RepoNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return None
            sibling = hub.sibling(name)
            checksum = sibling.get("lfs", {}).get("sha256", sibling["blobId"])
            content = bytearray(hub.files[name])
            if name in hub.corrupt:
                content[-1] ^= 1
            return self.send(bytes(content), {"X-Repo-Commit": COMMIT, "ETag": f'"{checksum}"'}, has_body)

        def send(self, content, headers, has_body):
            start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            if not has_body:
                return
            body = content[start:]
            if hub.stop_after is not None and len(content) > hub.stop_after:
                self.wfile.write(body[: max(0, hub.stop_after - start)])
                self.wfile.flush()
                hub.stalled.set()
                hub.freed.wait(60)
                self.close_connection = True
                return
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        hub.freed.set()
        server.shutdown()
        server.server_close()
        thread.join()
