"""Whether clips are those that a run learned from, told by what they hold."""

import json
from dataclasses import replace

import pytest

from mova.data.batch import ClipFacts
from mova.data.clip_record import check_same_clips, joined, record_of
from mova.errors import DataError

CLIPS = [ClipFacts(f"{name}.mp4", 0, content=f"content {name}", caption=f"caption {name}") for name in "abcdefgh"]


def saved():
    return json.loads(json.dumps(record_of(CLIPS)))


def test_clips_may_be_elsewhere_and_called_otherwise():
    check_same_clips(saved(), [replace(clip, key=f"/other/{clip.key}") for clip in CLIPS], "state")


def changed(index, **values):
    return [replace(clip, **values) if place == index else clip for place, clip in enumerate(CLIPS)]


@pytest.mark.parametrize(
    ("clips", "told"),
    [
        (changed(2, content="other"), r"1 of other content \(c.mp4\)"),
        (changed(3, caption="other"), r"1 with another caption \(d.mp4\)"),
        (CLIPS[:-1], r"got 7 where there were 8: 1 missing \(h.mp4\)"),
        ([*CLIPS, ClipFacts("i.mp4", 0, content="i")], r"got 9 where there were 8: 1 new \(i.mp4\)"),
        (CLIPS[::-1], "another order"),
        ([replace(clip, content="x") for clip in CLIPS], r"8 of other content \(a.mp4, b.mp4, .*e.mp4 \.\.\.\)"),
    ],
)
def test_what_differs_is_named(clips, told):
    with pytest.raises(DataError, match=f"the clips must be those that the run learned from, .*{told}"):
        check_same_clips(saved(), clips, "state")


def test_without_names_contents_are_compared(monkeypatch):
    monkeypatch.setattr("mova.data.clip_record._MOST_NAMES_BYTES", 10)
    assert record_of(CLIPS)["names"] == []
    check_same_clips(saved(), CLIPS, "state")
    with pytest.raises(DataError, match=r": 1 missing; 1 new \(c.mp4\); restore them"):
        check_same_clips(saved(), changed(2, content="other"), "state")


@pytest.mark.parametrize("damage", [{"contents": 3}, {"captions": None}, {"names": "abc"}, {"names": [1]}])
def test_a_record_of_wrong_types_is_an_error(damage):
    with pytest.raises(DataError, match="state"):
        check_same_clips(saved() | damage, CLIPS[:-1], "state")


def test_several_captions_of_one_file_are_told_apart():
    clips = [replace(clip, key="one.mp4") if place < 3 else clip for place, clip in enumerate(CLIPS)]
    other = [replace(clip, caption="other") if place == 1 else clip for place, clip in enumerate(clips)]
    with pytest.raises(DataError, match=r": 1 with another caption \(one.mp4\); restore them"):
        check_same_clips(json.loads(json.dumps(record_of(clips))), other, "state")


def test_a_clip_that_changes_sides_with_its_content_is_named_alone():
    saved = joined([record_of(CLIPS[:6]), record_of(CLIPS[6:])], "state")
    check_same_clips(saved, CLIPS, "state")
    now = changed(2, content="other")
    sides = [*now[:2], *now[3:7], now[2], now[7]]
    with pytest.raises(DataError, match=r"got 8 where there were 8: 1 of other content \(c.mp4\); restore them"):
        check_same_clips(saved, sides, "state")
    with pytest.raises(DataError, match="state must be a JSON object, got None"):
        joined([None, record_of(CLIPS)], "state")
