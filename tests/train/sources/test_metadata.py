"""Lists in the official trainer's form."""

import json
from pathlib import Path

import pytest

from mova.errors import DataError
from mova.train.sources.metadata import read_metadata


def test_paths_start_from_the_list_or_from_a_root(tmp_path, write_list):
    path = write_list(["a.mp4", "more/b.mp4"])
    items = read_metadata(path)
    assert [(item.key, item.path) for item in items] == [
        ("a.mp4", tmp_path / "a.mp4"),
        ("more/b.mp4", tmp_path / "more" / "b.mp4"),
    ]
    assert items[1].caption == "caption of more/b.mp4"
    assert read_metadata(path, Path("/data"))[0].path == Path("/data/a.mp4")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("[", "must be a JSON list of clips"),
        ("{}", "got dict"),
        ("[]", "at least one clip"),
        (json.dumps([{"video_path": "a", "caption": "b"}, {"video_path": "a"}, 3]), "2 of 3 have not: entries 1, 2$"),
        (json.dumps([{"caption": 1}] * 9), "9 of 9 have not: entries 0, 1, 2, 3, 4 ..."),
    ],
)
def test_wrong_lists_are_explained(tmp_path, content, text):
    path = tmp_path / "metadata.json"
    path.write_text(content)
    with pytest.raises(DataError, match=text):
        read_metadata(path)


def test_other_keys_are_allowed(tmp_path):
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps([{"video_path": "a.mp4", "caption": "b", "score": 3}]))
    assert read_metadata(path)[0].caption == "b"
