from pathlib import Path

import pytest

from mova.files.numbered import NUMBER, numbered


@pytest.mark.parametrize(
    ("pattern", "number", "total", "name"),
    [
        ("clip.mp4", 0, 3, "clip-000.mp4"),
        ("clip.mp4", 7, 12_000, "clip-00007.mp4"),
        ("clip_%d.mp4", 7, 10, "clip_7.mp4"),
        ("%02d_clip.mp4", 7, 10, "07_clip.mp4"),
        ("%03d-%d.mp4", 7, 10, "007-%d.mp4"),
    ],
)
def test_the_number_stands_where_the_name_says_or_at_its_end(pattern, number, total, name):
    assert numbered(Path("folder") / pattern, number, total) == Path("folder") / name


def test_a_name_without_a_place_for_the_number_is_told_from_one_with_it():
    assert NUMBER.search("clip-%04d.mp4")
    assert not NUMBER.search("clip-100%.mp4")
