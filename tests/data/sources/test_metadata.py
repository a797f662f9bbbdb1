"""Lists in the official trainer's form."""

import json
from pathlib import Path

import pytest

from mova.data.sources.metadata import read_metadata
from mova.errors import DataError


def test_paths_start_from_the_list_or_from_a_root(tmp_path, write_list):
    path = write_list(["a.mp4", "more/b.mp4"])
    items = read_metadata(path).items
    assert [(item.key, item.path) for item in items] == [
        ("a.mp4", tmp_path / "a.mp4"),
        ("more/b.mp4", tmp_path / "more" / "b.mp4"),
    ]
    assert items[1].caption == "caption of more/b.mp4"
    assert read_metadata(path, Path("/data")).items[0].path == Path("/data/a.mp4")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"[", "must be JSON"),
        (b"", "must be JSON"),
        (b"3", "must be a JSON list of at least one clip"),
        (b"[]", "must be a JSON list of at least one clip"),
        (b"{", "so it must be JSON lines, and line 1 must be JSON"),
        (b'{"video_path": "a", "caption": "b"}\n\n{"video_path"', "and line 3 must be JSON"),
        (
            '[{"video_path": "\u9f8d.mp4", "caption": "b"}]'.encode("gbk"),
            "must be a JSON list in UTF-8, UTF-16 or UTF-32, got .*no UTF-8 from byte 17 on; save it as UTF-8",
        ),
        (b"\xff\xfe[", "no UTF-16 from byte 2 on"),
        (b"[" * 100_000, "nesting without end"),
    ],
)
def test_files_that_are_no_lists_are_explained(tmp_path, content, text):
    path = tmp_path / "metadata.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=text):
        read_metadata(path)
    with pytest.raises(DataError, match="must be a JSON list"):
        read_metadata(tmp_path)


ENTRIES = [{"video_path": "a.mp4", "caption": "\u4e00 bird"}, {"video_path": "b.mp4", "caption": "two\nlines"}]

# Without a byte order mark, but for the last.
ENCODINGS = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-32")


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(ENTRIES).encode("utf-8-sig"),
        json.dumps(ENTRIES, ensure_ascii=False).encode("utf-16"),
        json.dumps(ENTRIES, ensure_ascii=False, indent=1).encode("utf-16-be").join([b"\xfe\xff", b""]),
        *(json.dumps(ENTRIES).encode(encoding) for encoding in ENCODINGS),
        *("\n".join(map(json.dumps, ENTRIES)).encode(encoding) for encoding in ENCODINGS),
        json.dumps(ENTRIES, indent=1).replace("\n", "\r\n").encode(),
        "\n".join(map(json.dumps, ENTRIES)).encode("utf-8-sig"),
        "\r\n".join(json.dumps(entry, ensure_ascii=False) for entry in ENTRIES).encode() + b"\r\n\r\n",
        json.dumps([{"video": entry["video_path"], "prompt": entry["caption"]} for entry in ENTRIES]).encode(),
        json.dumps([{"file_name": entry["video_path"], "text": entry["caption"]} for entry in ENTRIES]).encode(),
    ],
    ids=[
        "mark",
        "utf-16",
        "utf-16-be",
        *ENCODINGS,
        *(f"lines {name}" for name in ENCODINGS),
        "crlf",
        "lines",
        "crlf lines",
        "prompt",
        "text",
    ],
)
def test_what_other_programs_write_is_read(tmp_path, content):
    path = tmp_path / "metadata.json"
    path.write_bytes(content)
    listed = read_metadata(path)
    assert [(item.key, item.caption) for item in listed.items] == [tuple(entry.values()) for entry in ENTRIES]
    assert not listed.left_out


@pytest.mark.parametrize(
    ("entry", "left_out"),
    [
        ({"video_path": "a", "caption": ""}, ("a", "with a blank caption")),
        ({"video_path": "a", "caption": " \n"}, ("a", "with a blank caption")),
        ({"video_path": "a", "caption": None}, ("a", "whose caption is no text")),
        ({"video_path": "a", "caption": ["b"]}, ("a", "whose caption is no text")),
        ({"video_path": "a", "caption": "\ud800"}, ("a", "whose caption is no valid Unicode text")),
        ({"video_path": "a"}, ("a", "without the key caption")),
        ({"video_path": "", "caption": "b"}, ("entry 1", "with a blank video_path")),
        ({"video_path": 3, "caption": "b"}, ("entry 1", "whose video_path is no text")),
        ({"video_path": "a\0", "caption": "b"}, ("a\\x00", "whose video_path is no valid Unicode text")),
        ({"caption": "b"}, ("entry 1", "without the key video_path")),
        (3, ("entry 1", "that are no objects")),
        (None, ("entry 1", "that are no objects")),
    ],
)
def test_an_entry_that_is_no_clip_is_left_out_by_name(tmp_path, entry, left_out):
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps([{"video_path": "a.mp4", "caption": "b"}, entry]))
    listed = read_metadata(path)
    assert [item.key for item in listed.items] == ["a.mp4"]
    assert listed.left_out == [left_out]


def test_backslashes_separate_folders_where_no_name_has_them(tmp_path):
    (tmp_path / "c\\d.mp4").touch()
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps([{"video_path": name, "caption": "b"} for name in ("a\\b.mp4", "c\\d.mp4")]))
    assert [item.path for item in read_metadata(path).items] == [tmp_path / "a" / "b.mp4", tmp_path / "c\\d.mp4"]


def test_other_keys_are_allowed(tmp_path):
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps([{"video_path": "a.mp4", "caption": "b", "score": 3}]))
    assert read_metadata(path).items[0].caption == "b"
