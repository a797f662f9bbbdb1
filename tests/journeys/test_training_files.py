"""Encoded clips of files: what is found, left out and refused."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

import shared_sources
from latent_kit import CPU, MODEL, files_of, opened
from mova.data.config import MediaDataConfig
from mova.data.encode import ClipEncoder
from mova.data.latents import open_splits
from mova.errors import DataError
from mova.media.write import write_clip
from mova.toyworld import render, sample_scene
from processes import run_processes


@pytest.fixture
def films(tmp_path):
    """Files of which one is damaged behind its first picture."""
    names = []
    for index in range(8):
        clip = render(sample_scene(index), size=32, num_frames=30).clip
        write_clip(tmp_path / f"{index}.mp4", clip)
        names.append({"video_path": f"{index}.mp4", "caption": f"clip {index}"})
    (tmp_path / "metadata.json").write_text(json.dumps(names))
    return tmp_path


def media(films, **changes):
    settings = {"sizes": ("32x32",), "num_frames": 9, "min_frames": 5, "validation_clips": 2, "workers": 1}
    return MediaDataConfig(source="metadata", path=films / "metadata.json", **settings | changes)


def test_a_clip_whose_latents_are_not_finite_is_left_out_by_name(films, tmp_path, monkeypatch, caplog):
    encode = ClipEncoder.encode_placed

    def spoiled(self, clips, contents):
        made = encode(self, clips, contents)
        for clip in made[:1]:
            clip.audio.view(-1)[0] = float("nan")
        return made

    monkeypatch.setattr("mova.data.cache_plan.ClipEncoder.encode_placed", spoiled)
    with pytest.raises(DataError, match=r"latents that are not finite numbers.*; at most 5% may be"):
        opened(tmp_path / "cache", media(films))
    source = opened(tmp_path / "cache", media(films, max_skipped_share=0.5))
    assert "latents that are not finite numbers; they are left out" in caplog.text
    assert 0 < len(source.facts) < 6


def test_a_disk_without_room_is_told_before_anything_is_encoded(films, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    with pytest.raises(DataError, match=r"6 clips and 7 captions to encode take 0\.\d\d GB .*, got 0\.00 GB free"):
        opened(tmp_path / "cache", media(films))
    assert not files_of(tmp_path / "cache")


def test_files_are_found_by_their_content_however_the_list_calls_them(films, tmp_path):
    cache = tmp_path / "cache"
    opened(cache, media(films))
    before = {path.name for path in files_of(cache) if "video" in load_file(path)}
    entries = json.loads((films / "metadata.json").read_text())
    (films / "moved").mkdir()
    for index, entry in enumerate(entries):
        name = entry["video_path"]
        (films / name).rename(films / "moved" / f"other{name}")
        entry["video_path"] = [f"./moved/other{name}", str(films / "moved" / f"other{name}")][index % 2]
    (films / "metadata.json").write_text(json.dumps(entries))
    moved = opened(cache, media(films))
    for split in ("train", "validation"):
        opened(cache, media(films), split)
    after = {path.name for path in files_of(cache) if "video" in load_file(path)}
    assert len(before) == 6
    assert len(after) == 8
    assert before < after
    assert len(moved.facts) == 6


def test_several_captions_of_a_file_share_its_latents_and_its_split(films, tmp_path):
    entries = json.loads((films / "metadata.json").read_text())
    more = [
        {"video_path": entry["video_path"], "caption": f"{entry['caption']} {n}"} for entry in entries for n in "abc"
    ]
    (films / "metadata.json").write_text(json.dumps(more))
    opened_splits = open_splits(media(films, validation_clips=3), model=MODEL, cache=tmp_path / "cache", device=CPU)
    train, held = ({fact.key for fact in opened_splits[split].facts} for split in ("train", "validation"))
    assert (len(train), len(held)) == (7, 1)
    assert not train & held
    assert len([path for path in files_of(tmp_path / "cache") if "video" in load_file(path)]) == 8


def test_the_share_of_unusable_clips_is_that_of_the_whole_list(films, tmp_path):
    entries = json.loads((films / "metadata.json").read_text())
    (films / "broken.mp4").write_bytes(b"no film")
    # Whichever split it would have fallen to: one of nine.
    (films / "metadata.json").write_text(json.dumps([{"video_path": "broken.mp4", "caption": "b"}, *entries]))
    settings = {"model": MODEL, "cache": tmp_path / "cache", "device": CPU}
    with pytest.raises(DataError, match=r"1 of 9 clips of .*: 1 damaged"):
        open_splits(media(films, max_skipped_share=0.11), **settings)
    assert not (tmp_path / "cache").exists() or not files_of(tmp_path / "cache")
    opened = open_splits(media(films, max_skipped_share=0.12), **settings)
    assert [len(opened[split].facts) for split in ("train", "validation")] == [6, 2]


def test_files_are_encoded_and_a_clip_that_breaks_off_is_left_out(films, tmp_path, caplog):
    keys = [fact.key for fact in opened(tmp_path / "one", media(films)).facts]
    assert len(keys) == 6
    broken = films / keys[2]
    content = broken.read_bytes()
    broken.write_bytes(content[:200] + bytes(len(content) - 1200) + content[-1000:])
    with pytest.raises(DataError, match=r"(could not be decoded|cannot be used): .*at most 5% may be"):
        opened(tmp_path / "two", media(films))
    source = opened(tmp_path / "three", media(films, max_skipped_share=0.5))
    assert [fact.key for fact in source.facts] == [key for key in keys if key != broken.name]
    assert len(source.batch([0, 4])) == 2


def test_every_step_draws_another_start_without_a_cache(films, tmp_path):
    online = opened(tmp_path / "cache", media(films), online=True)
    one, again, other = (online.batch([0, 1], step) for step in (1, 1, 2))
    assert torch.equal(one.video, again.video)
    assert not torch.equal(one.video, other.video)


def test_of_several_processes_the_main_one_looks_at_the_files_and_all_meet_its_errors(films):
    shared_sources.write_broken_list(films)
    main, other = run_processes(shared_sources.open_files, 2, films / "two")
    # Eight for the cache, and the same again for the online source, which has a memory of its own.
    assert (main["looked"], other["looked"]) == (16, 0)
    assert len(main["keys"]) == 6
    assert {name: value for name, value in main.items() if name != "looked"}.items() <= other.items()
    assert main["online"] == main["keys"]
    assert main["absent"].startswith("DataError: ")
    assert "absent.json; --set data.path=FILE" in main["absent"]
    assert "cannot be used" in main["broken"]
