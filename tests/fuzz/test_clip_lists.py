"""Lists of clips and shards, changed at random: used, left out by name, or a `MovaError`; never a crash.

MOVA_FUZZ_COUNT sets how many of each kind there are, MOVA_FUZZ_SEED where they begin.
"""

import io
import json
import os
import random
import tarfile

import pytest

from mova.data.config import MediaDataConfig
from mova.data.sources.metadata import read_metadata
from mova.data.sources.scan import scan_clips
from mova.data.sources.shards import read_shards
from mova.errors import MovaError

COUNT = int(os.environ.get("MOVA_FUZZ_COUNT", "100"))
SLOW_COUNT = int(os.environ.get("MOVA_FUZZ_COUNT", "500"))
SEED = int(os.environ.get("MOVA_FUZZ_SEED", "0"))
ODD = (
    None,
    True,
    0,
    -1,
    10**400,
    1.5,
    "",
    " ",
    "\0",
    "\ud800",
    "x" * 5000,
    "../..",
    "/",
    "a\\b.mp4",
    [],
    {},
    [[]],
    {"a": []},
)
ENTRIES = [{"video_path": f"{index}.mp4", "caption": f"clip {index}", "score": 3} for index in range(4)]


def spoiled_value(draw, value, depth=0):
    """A JSON value of which something is replaced, removed, repeated or renamed."""
    if depth > 3 or not isinstance(value, (list, dict)) or not value or draw.random() < 0.2:
        return draw.choice(ODD)
    value = value.copy()
    key = draw.choice(list(value) if isinstance(value, dict) else range(len(value)))
    match draw.randrange(4):
        case 0:
            del value[key]
        case 1 if isinstance(value, dict):
            value[draw.choice(("prompt", "video", "text", "", "x" * 300, "\ud800"))] = value.pop(key)
        case 2 if isinstance(value, list):
            value *= draw.randrange(3)
        case _:
            value[key] = spoiled_value(draw, value[key], depth + 1)
    return value


def spoiled_bytes(draw, content):
    """Bytes of which some are changed, cut, repeated or moved."""
    content = bytearray(content)
    for _ in range(draw.randrange(1, 6)):
        place, length = draw.randrange(len(content) + 1), draw.choice((1, 2, 8, 100, 512))
        match draw.randrange(4):
            case 0:
                content[place : place + length] = draw.randbytes(length)
            case 1:
                del content[place : place + length]
            case 2:
                content[place:place] = content[place : place + length]
            case _:
                content[place : place + 1] = draw.choice(
                    (b"\0", b"\xff", b"7", b"-", b"{", b"[", b'"', b"\\", b"\xef\xbb\xbf")
                )
    return bytes(content)


def list_content(draw):
    entries = ENTRIES
    for _ in range(draw.randrange(1, 4)):
        entries = spoiled_value(draw, entries) if isinstance(entries, list) and entries else draw.choice(ODD)
    lines = "\n".join(map(json.dumps, entries)) if isinstance(entries, list) and draw.random() < 0.3 else None
    text = lines if lines is not None else json.dumps(entries, indent=draw.choice((None, 1)))
    content = text.encode(draw.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-be")))
    return spoiled_bytes(draw, content) if draw.random() < 0.4 else content


def shard_content(draw):
    file = io.BytesIO()
    kinds = (
        tarfile.REGTYPE,
        tarfile.REGTYPE,
        tarfile.REGTYPE,
        tarfile.DIRTYPE,
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.FIFOTYPE,
    )
    formats = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
    with tarfile.open(fileobj=file, mode="w", format=draw.choice(formats)) as shard:
        for index, entry in enumerate(ENTRIES):
            facts = json.dumps(spoiled_value(draw, entry) if draw.random() < 0.5 else entry).encode()
            for name, content in ((f"{index}.mp4", b"media"), (f"{index}.json", facts)):
                name = draw.choice((name, name, name, f"../{name}", f"/{name}", "x" * 90 + name, f"\u4e00{name}"))
                member = tarfile.TarInfo(name)
                member.type = draw.choice(kinds)
                member.linkname = draw.choice(("0.json", "/etc/passwd", "", "../x"))
                member.size = len(content) if member.isreg() else 0
                shard.addfile(member, io.BytesIO(content) if member.isreg() else None)
    content = file.getvalue()
    # Mostly in the headers, which are what is read.
    return spoiled_bytes(draw, content[: draw.choice((600, 2000, len(content)))]) if draw.random() < 0.7 else content


def read_one(folder, kind, draw):
    """Read one list or folder of shards."""
    if kind == "list":
        path = folder / "metadata.json"
        path.write_bytes(list_content(draw))
        listed, data = read_metadata(path), MediaDataConfig(source="metadata", path=path, workers=1)
    else:
        (folder / "0.tar").write_bytes(shard_content(draw))
        listed, data = read_shards(folder), MediaDataConfig(source="shards", path=folder, workers=1)
    for item in listed.items:
        # What can be neither hashed, printed nor embedded must have been left out.
        assert (item.key + item.caption).encode().strip()
    for name, reason in listed.left_out:
        assert name.encode()
        assert reason
    # None of them is a film: each must be named, and the list refused as a whole.
    with pytest.raises(MovaError, match="must leave at least one clip to use"):
        scan_clips(data)


@pytest.mark.parametrize("kind", ["list", "shards"])
def test_changed_lists_and_shards_are_read_or_refused(tmp_path, kind):
    try_many(tmp_path, kind, COUNT)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["list", "shards"])
def test_many_changed_lists_and_shards_are_read_or_refused(tmp_path, kind):
    try_many(tmp_path, kind, SLOW_COUNT)


def try_many(folder, kind, count):
    ends = {"read": 0, "refused": 0}
    for number in range(SEED, SEED + count):
        draw = random.Random(f"{kind} {number}")
        refusal = None
        try:
            read_one(folder, kind, draw)
        except MovaError as error:
            refusal = str(error)
        except Exception as error:
            raise AssertionError(f"{kind} number {number} ended with {error!r}") from error
        ends["read" if refusal is None else "refused"] += 1
        assert refusal is None or 0 < len(refusal) < 4000, f"{kind} number {number}"
    # Both happen often enough to say something.
    assert min(ends.values()) > count // 20, ends
