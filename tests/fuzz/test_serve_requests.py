"""Hostile uploads and requests: refused with a 4xx, whatever they are; no file is left, and memory stays as it is.

MOVA_FUZZ_COUNT sets how many are sent, MOVA_FUZZ_SEED where they begin. A damaged file that can still be read in full
is no fault: its clip is queued, and removed again.
"""

import base64
import io
import json
import os
import random
import socket
import struct
import zlib
from collections import Counter

import numpy as np
import psutil
import pytest
from PIL import Image

from footage_kit import beeps, flash_frames, steady_ticks, write_video
from serve_bodies import BOUNDARY, form
from serve_site import PROMPT, served

COUNT = int(os.environ.get("MOVA_FUZZ_COUNT", "300"))
SEED = int(os.environ.get("MOVA_FUZZ_SEED", "22"))
MOST_GROWTH = 96 * 2**20
MEDIA = ("input_reference", "image", "last_image", "video", "audio")
FIELDS = (
    *("prompt", "negative_prompt", "size", "seconds", "seed", "n", "num_frames", "fps", "num_inference_steps", "speed"),
    *("guidance_scale", "video_shift", "sampler", "guidance_interval", "enhancement", "extra_body", "hold", "start_s"),
    *("width", "height", "model", "generate_sound", "step_cache_order", "image", "video", "audio", "nonsense"),
)
VALUES = (
    *(
        "",
        "x",
        "-1",
        "0",
        "1e309",
        "nan",
        "inf",
        "0x10",
        "9" * 400,
        "1" * 20_000,
        "\0",
        "\ud800",
        "你" * 5000,
        "' OR 1=1",
    ),
    *(
        "../../etc/passwd",
        "file:///etc/passwd",
        "http://127.0.0.1/",
        "http://[::1]/",
        "data:,",
        "data:image/png;base64,A",
    ),
    *(
        "%s%n",
        "<script>",
        "${jndi:ldap://x}",
        "128x",
        "99999x99999",
        "-16x16",
        "{",
        "[1",
        "null",
        "true",
        "\u202e",
        "\r\n",
    ),
    *(-1, 0, 2**70, 10**400, 1.5, -0.0, 1e308, True, False, [], {}, [[]], {"a": {"b": []}}, [1] * 2000),
    *({"video_id": "x"}, {"video_id": "../../x", "part": "video"}, {"image_url": "http://10.0.0.1/"}, {"file_id": "a"}),
)
PATHS = (
    *("/v1/videos/%2e%2e/%2e%2e/etc/passwd", "/v1/videos/video_" + "0" * 32, "/v1/videos//content", "/v1/../metrics"),
    *("/v1/videos/x/content?variant=../../x", "/%00", "/v1/videos?limit=9999999999999999999999", "/v1/videos?after='"),
    *(
        "/v1/videos?search=" + "%25" * 90,
        "/v1/plan?size=1x1",
        "/v1/plan?num_frames=1e9",
        "/v1/models/..%2f",
        "/v1/" * 100,
    ),
)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Whole files by kind."""
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    found = {}
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"):
        written = io.BytesIO()
        Image.fromarray(pixels).save(written, kind)
        found[kind] = written.getvalue()
    ticks, base = steady_ticks(24, 1.0)
    path = tmp_path_factory.mktemp("media") / "a.mp4"
    found["MP4"] = write_video(
        path, flash_frames(ticks, base, [0.5]), ticks, base, audio=beeps([0.5], 1.0)
    ).read_bytes()
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    options = {"limits.upload_bytes": 2 * 2**20, "limits.image_pixels": 4_000_000, "limits.decode_s": 20}
    with served(tmp_path_factory.mktemp("site"), **options) as made:
        yield made


def bomb(width, height):
    """Return a PNG of few bytes that claims to be, and is, very large."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = zlib.compress(b"\0" * min(width * height // 8, 8 * 2**20), 9)
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def spoilt(luck, originals):
    """Return a file that is damaged, of another kind, or a trap."""
    content = bytearray(luck.choice(list(originals.values())))
    match luck.randrange(8):
        case 0:
            return luck.randbytes(luck.randrange(1, 5000))
        case 1:
            return bytes(content[: luck.randrange(1, len(content))])
        case 2:
            for _ in range(luck.randrange(1, 40)):
                content[luck.randrange(len(content))] = luck.randrange(256)
            return bytes(content)
        case 3:
            start = luck.randrange(len(content))
            return bytes(content[:start] + luck.randbytes(luck.randrange(200)) + content[start:])
        case 4:
            return bomb(luck.choice((30_000, 65_535, 2**31 - 1)), luck.choice((30_000, 65_535)))
        case 5:
            return luck.choice(
                (b"<svg xmlns='x'/>", b"%!PS\n", b"PK\x03\x04" + b"\0" * 99, b"#EXTM3U\nfile:///etc/passwd")
            )
        case 6:
            return bytes(content[: luck.randrange(20)]) + b"\0" * luck.randrange(100_000)
        case _:
            return b"RIFF" + luck.randbytes(4) + b"WAVEfmt " + luck.randbytes(luck.randrange(2000))


def send_upload(site, luck, originals):
    name, content = luck.choice(MEDIA), spoilt(luck, originals)
    if luck.random() < 0.3:
        url = luck.choice(("data:image/png;base64,", "data:;base64,", "data:text/html;base64,"))
        return site.client.post("/v1/videos", json={"prompt": PROMPT, name: url + base64.b64encode(content).decode()})
    title = luck.choice(("a.png", "../../x", "\u202egnp.exe", "a" * 300, "con", ".htaccess"))
    data = {"prompt": PROMPT, "num_frames": luck.choice(("5", "21", "49"))}
    return site.client.post("/v1/videos", data=data, files={name: (title, content, luck.choice(("image/png", "x/y")))})


def send_fields(site, luck, _):
    said = {name: luck.choice(VALUES) for name in luck.sample(FIELDS, luck.randrange(1, 6))}
    said = {"prompt": PROMPT, **said} if luck.random() < 0.7 else said
    path = luck.choice(("/v1/videos", "/v1/videos", "/v1/enhance", "/v1/session", f"/v1/videos/{site.known}/remix"))
    content = json.dumps(said).encode()
    return site.client.post(path, content=content, headers={"Content-Type": "application/json"})


def send_form(site, luck, _):
    parts = [
        (luck.choice(FIELDS), str(luck.choice(VALUES)).encode("utf-8", "surrogatepass")[:3000])
        for _ in range(luck.randrange(1, 8))
    ]
    content = bytearray(form(*parts))
    for _ in range(luck.randrange(3)):
        content[luck.randrange(len(content))] = luck.randrange(256)
    kind = luck.choice(
        (f"multipart/form-data; boundary={BOUNDARY}", "multipart/form-data", "text/plain", "a/b; boundary=" + "x" * 99)
    )
    return site.client.post("/v1/videos", content=bytes(content), headers={"Content-Type": kind})


def send_path(site, luck, _):
    headers = luck.choice(
        (
            {},
            {"Host": "evil.example"},
            {"Origin": "https://evil.example"},
            {"Range": "bytes=" + ",".join("0-1" for _ in range(500))},
            {"Idempotency-Key": "x" * 400},
            {"Cookie": "mova_key=" + "y" * 3000},
            {"Authorization": "Bearer " + "z" * 3000},
        )
    )
    method = luck.choice(("GET", "POST", "DELETE", "PATCH", "PUT", "OPTIONS", "TRACE", "BREW"))
    return site.client.request(method, luck.choice(PATHS), headers=headers)


def send_raw(site, luck, _):
    """Send what is no request at all, or half of one; whatever comes back is all right."""
    lines = luck.choice(
        (
            b"\x16\x03\x01\x02\x00\x01",
            b"GET / HTTP/9.9\r\n\r\n",
            b"POST /v1/videos HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n",
            b"POST /v1/videos HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil\r\nContent-Length: 2\r\n\r\n{}",
            b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"GET /v1/videos HTTP/1.1\r\n" + b"X: y\r\n" * 300 + b"\r\n",
            b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
            luck.randbytes(luck.randrange(1, 3000)),
        )
    )
    with socket.create_connection(("127.0.0.1", site.port), 5) as connection:
        connection.settimeout(0.05)
        try:
            connection.sendall(lines)
            said = connection.recv(4096)
        except OSError:
            said = b""
    assert not said.startswith(b"HTTP/1.1 5"), said
    return None


SENDERS = (send_upload, send_upload, send_upload, send_fields, send_fields, send_form, send_path, send_raw)


def memory():
    """Return the resident bytes of the server and its children, which the sender shares."""
    process = psutil.Process()
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))


def test_hostile_requests_are_refused_and_leave_nothing(site, originals, caplog):
    caplog.set_level("ERROR")
    luck = random.Random(SEED)
    site.known = site.create()["id"]
    seen, grown_from = Counter(), 0
    for number in range(COUNT):
        if number == COUNT // 3:
            grown_from = memory()
        sender = luck.choice(SENDERS)
        reply = sender(site, luck, originals)
        if reply is None:
            continue
        seen[(sender.__name__, reply.status_code)] += 1
        assert reply.status_code < 500 or reply.status_code == 501, (number, sender.__name__, reply.text[:500])
        assert str(site.services.settings.data) not in reply.text or reply.status_code == 200
        if reply.status_code == 200 and sender in (send_upload, send_fields, send_form) and "id" in reply.json():
            for one in reply.json().get("variants", [reply.json()["id"]]):
                site.ask("DELETE", f"/v1/videos/{one}")
    site.ask("DELETE", f"/v1/videos/{site.known}")
    site.artifacts.sweep(*site.store.known_files(), 1e12)
    assert site.files() == []
    assert site.ask("GET", "/v1/videos")["data"] == []
    assert memory() - grown_from < MOST_GROWTH
    assert sum(count for (_, status), count in seen.items() if 400 <= status < 500) > 0.6 * seen.total()
    assert [record.message for record in caplog.records if record.name.startswith("mova.serve")] == []
