"""Clips of a folder, a manifest or a file."""

import json

import numpy as np
import pytest

from mova.errors import ConfigError
from mova.evaluate.clips.find import find_clips
from mova.media.write import write_clip
from mova.types import Clip


def write(path, prompt=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    clip = Clip(np.zeros((2, 16, 16, 3), np.uint8), np.zeros((1, 1333), np.float32), 24.0, 16_000)
    write_clip(path, clip, metadata={} if prompt is None else {"prompt": prompt})
    return path


def test_a_folder_gives_its_videos_by_path_with_the_prompts_that_stand_in_them(tmp_path):
    write(tmp_path / "set2" / "b.mp4", "a cat")
    write(tmp_path / "a.mp4")
    (tmp_path / "notes.txt").write_text("no clip")
    write(tmp_path / ".hidden" / "c.mp4")
    (tmp_path / "broken.MOV").write_text("no video")
    found = find_clips(tmp_path)
    assert [(item.id, item.category, item.prompt) for item in found] == [
        ("a", "", ""),
        ("broken", "", ""),
        ("set2/b", "set2", "a cat"),
    ]


def test_a_manifest_in_the_folder_says_what_is_there_and_a_file_is_one_clip(tmp_path):
    write(tmp_path / "a.mp4")
    path = write(tmp_path / "b.mp4", "a cat")
    (tmp_path / "clips.jsonl").write_text('{"id": "first", "path": "a.mp4", "prompt": "a dog"}\n')
    assert [(item.id, item.prompt) for item in find_clips(tmp_path)] == [("first", "a dog")]
    assert [(item.id, item.prompt) for item in find_clips(path)] == [("b", "a cat")]


def test_a_file_of_prompts_wins_and_counts_what_is_missing(tmp_path):
    write(tmp_path / "clips" / "a.mp4", "what stands in it")
    prompts = tmp_path / "prompts.json"
    prompts.write_text(json.dumps({"a": "one", "b": "two"}))
    found = find_clips(tmp_path / "clips", prompts)
    assert [(item.id, item.prompt, item.path is None) for item in found] == [("a", "one", False), ("b", "two", True)]


def test_places_without_clips_and_names_that_come_twice_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="a folder of clips, a manifest or a video file, got"):
        find_clips(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="got 0 in"):
        find_clips(tmp_path)
    write(tmp_path / "a.mp4")
    (tmp_path / "a.mov").write_bytes(b"")
    with pytest.raises(ConfigError, match="got 'a' more than once"):
        find_clips(tmp_path)


def test_a_link_that_leads_out_is_refused(tmp_path):
    outside = write(tmp_path / "outside.mp4")
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").symlink_to(outside)
    with pytest.raises(ConfigError, match="a link that leads out of it"):
        find_clips(tmp_path / "clips")
