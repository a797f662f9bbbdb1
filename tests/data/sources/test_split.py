"""What is kept for validation: whole files and whole contents."""

from pathlib import Path

import pytest

from mova.data.sources.items import MediaItem
from mova.data.sources.scan import Scanned
from mova.data.sources.split import held_out
from mova.errors import DataError


def clips(*files, captions=1):
    """Clips of files given as (name, content)."""
    return [
        (MediaItem(name, Path("/data") / name, f"caption {number}"), Scanned(content, 2.0, 1.0, True, True))
        for name, content in files
        for number in range(captions)
    ]


def contents(found, places):
    return {found[place][1].sha256 for place in places}


@pytest.mark.parametrize("captions", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [2, 5, 16])
def test_all_captions_of_a_file_are_on_one_side(captions, count):
    found = clips(*((f"{index}.mp4", f"{index}") for index in range(20)), captions=captions)
    held = held_out(found, count)
    others = set(range(len(found))) - held
    assert held
    assert not contents(found, held) & contents(found, others)
    assert len(held) == count if captions == 1 else abs(len(held) - count) < captions


def test_copies_of_a_file_are_on_one_side():
    found = clips(*((f"{index}.mp4", f"{index // 2}") for index in range(40)))
    held = held_out(found, 10)
    assert len(held) == 10
    assert not contents(found, held) & contents(found, set(range(40)) - held)


def test_where_all_files_are_copies_names_decide_and_it_is_said(caplog):
    found = clips(*((f"{index}.mp4", "one content") for index in range(39)), captions=2)
    held = held_out(found, 16)
    names = {found[place][0].key for place in held}
    assert len(held) == 16
    assert not names & {found[place][0].key for place in set(range(78)) - held}
    assert "39 files hold 1 different contents" in caplog.text


def test_captions_of_a_single_file_are_split_all_the_same_and_it_is_said(caplog):
    assert len(held_out(clips(("a", "a"), captions=5), 2)) == 2
    assert "5 captions are of one file (a): validation sees what is learned from" in caplog.text


def test_the_order_and_other_clips_hardly_matter():
    found = clips(*((f"{index}.mp4", f"{index}") for index in range(30)))
    held = contents(found, held_out(found, 5))
    assert contents(found[::-1], held_out(found[::-1], 5)) == held
    more = found + clips(("new.mp4", "new"))
    assert len(contents(more, held_out(more, 5)) - held) <= 1


def test_too_few_clips_are_told_with_what_would_do(caplog):
    with pytest.raises(DataError, match=r"more clips than the 16 .* got 12 .*nearest is data.validation_clips=11"):
        held_out(clips(*((f"{index}.mp4", f"{index}") for index in range(12))), 16)
    with pytest.raises(DataError, match=r"got 2 that can be used$"):
        held_out(clips(("a", "a"), ("b", "b")), 16)
    held_out(clips(*((f"{index}.mp4", f"{index}") for index in range(20))), 16)
    assert "validation takes 16 of 20 clips, which leaves 4 to learn from (data.validation_clips)" in caplog.text


@pytest.mark.parametrize("written", ["/moved/{}", "./../data/{}", "more/folders/{}"])
def test_a_file_stays_on_its_side_wherever_it_lies_and_however_that_is_written(written):
    names = [f"{index}.mp4" for index in range(30)]
    held = held_out(clips(*((name, name) for name in names)), 5)
    assert held_out(clips(*((written.format(name), name) for name in names)), 5) == held


def test_files_of_one_name_in_different_folders_are_split_wherever_they_lie():
    sides = [
        held_out(clips(*((f"{home}/{index}/clip.mp4", f"{index}") for index in range(30))), 5) for home in ("a", "/b/c")
    ]
    assert sides[0] == sides[1]
    assert len(sides[0]) == 5
