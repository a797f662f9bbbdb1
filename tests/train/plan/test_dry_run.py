"""`mova train --dry-run` opens the data as the run would, and writes nothing."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from mova.cli.app import main
from mova.data.cache_size import held_bytes
from mova.data.latents import open_splits
from mova.media.write import write_clip
from mova.toyworld import render, sample_scene
from mova.train.config import load_recipe
from mova.train.plan.dry_run import check_data
from mova.weights.locate import find_model

RECIPE = {
    "stage": "lora",
    "base": "mova-tiny",
    "encoders": "mova-tiny",
    "model": "run/model",
    "data": {"source": "metadata", "path": "metadata.json", "sizes": ["32x32", "64x32"], "num_frames": 9}
    | {"min_frames": 5, "validation_clips": 2, "workers": 1, "max_skipped_share": 0.2},
    "run": {"max_steps": 1, "batch_size": 2, "device": "cpu"},
    "optimizer": {"lr": 1e-4},
}


@pytest.fixture
def clips(tmp_path, monkeypatch):
    """A list of eight clips, of which one is short and one wide, and a recipe for it."""
    monkeypatch.chdir(tmp_path)
    entries = []
    for index in range(8):
        clip = render(sample_scene(index), size=32, num_frames=6 if index == 3 else 30 + index).clip
        tone = np.float32(0.1) * np.sin(np.arange(clip.waveform.shape[1], dtype=np.float32))[None]
        write_clip(tmp_path / f"{index}.mp4", replace(clip, waveform=tone))
        entries.append(
            {"video_path": f"{index}.mp4", "caption": f"clip {index // 2} " + "and more " * 60 * (index == 0)}
        )
    (tmp_path / "metadata.json").write_text(json.dumps(entries))
    (tmp_path / "lora.yaml").write_text(yaml.safe_dump(RECIPE))
    return entries


def dry_run(*arguments):
    return main(["train", "lora.yaml", "--dry-run", *arguments])


def everything(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_everything_that_the_run_will_meet_is_said_and_nothing_is_written(clips, tmp_path, capsys):
    before = everything(tmp_path)
    assert dry_run() == 0
    assert everything(tmp_path) == before
    text = capsys.readouterr().out
    for line in (
        "clips: 8 in metadata.json, 8 usable in 8 files",
        "split: 6 to learn from, 2 for validation",
        "lengths: 0.25 to 1.54 s, of which 0.38 s are learned from at once; 1 shorter, masked past their end (3.mp4)",
        "sizes: 8 of 32x32",
        "captions: 5 different, 1 longer than 96 tokens, cut there",
        "cache: 0 of 8 clips and 0 of 6 captions are in run/latents; the others take 0.00 GB of ",
        "host 0.00 GB = ",
    ):
        assert f"  {line}" in text, line


def test_a_full_cache_is_honoured(clips, tmp_path, capsys):
    config = load_recipe(tmp_path / "lora.yaml")
    open_splits(config.data, model=find_model("mova-tiny"), cache=tmp_path / "caches", device=torch.device("cpu"))
    assert dry_run("--cache", "caches") == 0
    assert "cache: 8 of 8 clips and 6 of 6 captions are in caches; the others take 0.00 GB" in capsys.readouterr().out


def test_the_bytes_on_the_host_are_those_of_the_tensors(clips, tmp_path):
    config = load_recipe(tmp_path / "lora.yaml")
    opened = open_splits(config.data, model=find_model("mova-tiny"), cache=tmp_path / "c", device=torch.device("cpu"))
    assert check_data(config, tmp_path / "c").host_bytes == sum(source.host_bytes for source in opened.values())


def test_what_does_not_fit_in_memory_is_read_when_it_is_wanted(monkeypatch):
    monkeypatch.setattr("mova.data.cache.IN_MEMORY", 100)
    assert [held_bytes(*sizes) for sizes in ((60, 40), (60, 50), (200, 50), (200, 150))] == [100, 60, 50, 0]


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (
            lambda folder: (folder / "metadata.json").unlink(),
            "metadata.json; --set data.path=FILE names yours",
        ),
        (
            lambda folder: [(folder / f"{n}.mp4").write_bytes(b"") for n in range(2)],
            "2 of 8 clips of metadata.json cannot",
        ),
        (lambda folder: shutil.copy(folder / "metadata.json", folder / "run"), None),
    ],
    ids=["no list", "too much damaged", "nothing wrong"],
)
def test_what_the_run_would_refuse_is_refused_after_the_plan(clips, tmp_path, capsys, spoil, text):
    (tmp_path / "run").mkdir()
    spoil(tmp_path)
    assert dry_run() == (2 if text else 0)
    output, errors = capsys.readouterr()
    assert "memory on the CPU" in output
    assert (text or "") in errors


def test_a_disk_without_room_is_refused(clips, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    assert dry_run() == 2
    assert "8 clips and 6 captions to encode take 0.00 GB in run/latents, got 0.00 GB free" in capsys.readouterr().err


def test_a_folder_in_use_needs_resume_and_then_its_recipe(clips, tmp_path, capsys):
    (tmp_path / "run" / "lora").mkdir(parents=True)
    assert dry_run() == 2
    assert "run already holds lora; go on with --resume run" in capsys.readouterr().err
    saved = json.loads(load_recipe(tmp_path / "lora.yaml", ["video_shift=3.0"]).model_dump_json())
    (tmp_path / "run" / "lora" / "recipe.json").write_text(json.dumps(saved))
    assert dry_run("--resume", "run") == 2
    assert "video_shift: was 3.0, is 5.0" in capsys.readouterr().err
    assert dry_run("--resume", "run", "--set", "video_shift=3.0") == 0


def test_encoders_that_are_not_there_yet_leave_the_rest_checked(clips, tmp_path, capsys):
    assert dry_run("--set", "encoders=somebody/their-model") == 0
    text = capsys.readouterr().out
    assert "split: 6 to learn from, 2 for validation" in text
    assert "encoders: somebody/their-model has none on this disk yet" in text


def test_small_sets_are_told_what_validation_takes(clips, capsys, caplog):
    assert dry_run("--set", "data.validation_clips=6") == 0
    assert "validation takes 6 of 8 clips, which leaves 2 to learn from (data.validation_clips)" in caplog.text
    assert dry_run("--set", "data.validation_clips=16") == 2
    assert "got 8 that can be used; nearest is data.validation_clips=7" in capsys.readouterr().err


def test_the_encoders_of_a_base_are_looked_at_where_the_recipe_names_none(clips, capsys):
    recipe = {key: value for key, value in RECIPE.items() if key != "encoders"}
    Path("lora.yaml").write_text(yaml.safe_dump(recipe))
    assert dry_run() == 0
    shown = "".join(capsys.readouterr())
    assert "not checked" not in shown
    assert "  cache: " in shown
