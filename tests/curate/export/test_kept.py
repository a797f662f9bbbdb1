"""Which clips are exported, with which caption and facts."""

import pytest

from curated_tables import caption, clip_batches, clip_id, clip_row, rejected_row
from mova.curate.export.kept import KeptClips, caption_of, clean_text
from mova.errors import DataError


def write_media(root, *numbers):
    for number in numbers:
        path = root / clip_row(number)["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * (100 + number))


def kept(root, rows):
    return KeptClips(root, lambda: iter(clip_batches(rows)))


def test_kept_clips_with_a_caption_come_in_the_order_of_the_table(tmp_path):
    write_media(tmp_path, 1, 2)
    rows = [clip_row(2), rejected_row(3, "blur"), clip_row(4, captions=None), clip_row(1)]
    clips = kept(tmp_path, rows)
    assert [clip.key for clip in clips] == [clip_id(2), clip_id(1)]
    assert clips.without_caption == 1
    assert [clip.size_bytes for clip in clips] == [102, 101], "a second time it is the same"
    assert clips.without_caption == 1


def test_a_clip_says_where_it_comes_from(tmp_path):
    write_media(tmp_path, 1)
    (clip,) = kept(tmp_path, [clip_row(1, uri="a\x00b.mov", columns=[("owner", "me\x1b")])])
    assert clip.facts["source"] == "a b.mov"
    assert clip.facts["licence"] == "CC0"
    assert clip.facts["columns"] == {"owner": "me"}
    assert (clip.facts["start_s"], clip.facts["num_frames"], clip.facts["kind"]) == (1.0, 193, "single_speech")


def test_the_merged_caption_is_taken_else_the_parts():
    parts = {"visual": caption("A man."), "speech": caption('He says: "Hi".'), "audio": caption(""), "merged": None}
    assert caption_of(parts) == 'A man. He says: "Hi".'
    assert caption_of(parts | {"merged": caption("", "timeout")}) == 'A man. He says: "Hi".'
    assert caption_of(parts | {"merged": caption("All.")}) == "All."
    assert caption_of({}) == caption_of({"merged": caption(" \x00 ")}) == ""


def test_what_no_reader_takes_is_taken_out():
    assert clean_text("a\x00b\ud800\x07\n\tc \u200d") == "a b  \n\tc \u200d"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=rf"the clip {clip_id(1)} must be in .*{clip_id(1)}.mp4.*No such file"):
        list(kept(tmp_path, [clip_row(1)]))


def test_a_file_elsewhere_is_not_exported(tmp_path):
    root = tmp_path / "run"
    root.mkdir()
    (tmp_path / "secret.mp4").write_bytes(b"x")
    (root / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    for path in ("../secret.mp4", str(tmp_path / "secret.mp4"), "link.mp4"):
        with pytest.raises(DataError, match=r"secret\.mp4, outside of"):
            list(kept(root, [clip_row(1, path=path)]))
