"""Encoded clips for training, from a cache and without one."""

import json
import os
import random
import shutil
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from latent_kit import CPU, DATA, MODEL, files_of, opened
from mova.data.cache import LatentCache, checksum
from mova.data.known import FRAME_TASKS
from mova.data.latents import CachedLatents, OnlineLatents, open_splits
from mova.errors import DataError
from mova.files.lock import lock_folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    opened(folder)
    return folder


def contents_of(cache):
    return {path.stem: path.read_bytes() for path in files_of(cache) if path.parent.parent == cache}


def test_cached_clips_are_those_that_are_encoded_at_every_step(cache):
    cached, online = opened(cache), opened(cache, online=True)
    assert isinstance(cached, CachedLatents)
    assert isinstance(online, OnlineLatents)
    assert [fact.key for fact in cached.facts] == [fact.key for fact in online.facts]
    for indices in ([3], [7, 0, 9]):
        one, other = cached.batch(indices), online.batch(indices)
        assert one.keys == other.keys
        for name in ("video", "condition", "mask", "audio", "prompts", "video_counted", "audio_counted"):
            # Batches of other sizes differ by rounding.
            torch.testing.assert_close(getattr(one, name), getattr(other, name), rtol=5e-3, atol=5e-3)
    torch.testing.assert_close(cached.null_prompt.float(), online.null_prompt, rtol=5e-3, atol=5e-3)
    torch.testing.assert_close(cached.white_condition(0), online.white_condition(0))


TASKS = ("last_frame", "keyframes", None, "prefix", "first_and_last_frame")


@pytest.fixture(scope="module")
def known_cache(cache, tmp_path_factory):
    """The cache of before, with what is known of its clips for other tasks beside them."""
    folder = tmp_path_factory.mktemp("known") / "cache"
    shutil.copytree(cache, folder)
    opened(folder, known=FRAME_TASKS)
    return folder


def test_known_frames_of_a_task_are_those_that_are_encoded_at_every_step(known_cache):
    cached, online = opened(known_cache, known=FRAME_TASKS), opened(known_cache, online=True)
    indices = [3, 7, 0, 9, 1]
    one, other = cached.batch(indices, 0, TASKS), online.batch(indices, 0, TASKS)
    plain = cached.batch(indices)
    for name in ("video", "condition", "mask", "audio"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), rtol=5e-3, atol=5e-3)
    assert torch.equal(one.video, plain.video)
    assert [torch.equal(mask, before) for mask, before in zip(one.mask[:3], plain.mask[:3], strict=True)] == [
        False,
        False,
        True,
    ]
    assert torch.equal(one.condition[2], plain.condition[2])
    # Nine frames are three latent frames.
    assert one.mask[0].sum(0).tolist() == [0, 0, 1]
    assert one.mask[3].sum(0).tolist() == [4, 4, 0]
    assert one.mask[4].sum(0).tolist() == [4, 0, 1]


def test_files_of_before_stay_valid_beside_known_frames(cache, known_cache):
    before, after = contents_of(cache), contents_of(known_cache)
    assert before.items() <= after.items()
    assert len(after) == len(before) + len(FRAME_TASKS) * DATA.num_clips


def test_known_frames_that_are_damaged_are_made_again(known_cache, tmp_path):
    shutil.copytree(known_cache, tmp_path / "copy")
    source = opened(tmp_path / "copy", known=FRAME_TASKS)
    whole = contents_of(tmp_path / "copy")
    path = next(path for path in files_of(tmp_path / "copy") if load_file(path).keys() == {"condition", "mask"})
    path.write_bytes(path.read_bytes()[:-8] + b"12345678")
    again = opened(tmp_path / "copy", known=FRAME_TASKS)
    assert contents_of(tmp_path / "copy") == whole
    batches = (one.batch(range(5), 0, TASKS) for one in (source, again))
    assert torch.equal(*(batch.condition for batch in batches))
    # One that is found damaged while it is read.
    again._held.clear()
    again._checked.clear()
    path.write_bytes(path.read_bytes()[:-8] + b"12345678")
    for task in FRAME_TASKS:
        again.batch(range(DATA.num_clips), 0, [task] * DATA.num_clips)
    assert contents_of(tmp_path / "copy") == whole


def test_a_full_cache_needs_no_encoder(cache, monkeypatch):
    class Refuse:
        def __init__(self, *_):
            raise AssertionError("an encoder was loaded")

    monkeypatch.setattr("mova.data.cache_plan.ClipEncoder", Refuse)
    monkeypatch.setattr("mova.data.cache_plan.TextEncoder", Refuse)
    before = files_of(cache)
    source = opened(cache)
    assert len(source.batch([0, 1])) == 2
    assert files_of(cache) == before
    assert not [value for value in vars(source).values() if isinstance(value, nn.Module)]


def test_only_what_is_missing_is_encoded(cache, tmp_path):
    shutil.copytree(cache, tmp_path / "copy")
    gone = files_of(tmp_path / "copy")[3]
    gone.unlink()
    before = {path: path.stat().st_mtime_ns for path in files_of(tmp_path / "copy")}
    opened(tmp_path / "copy")
    after = files_of(tmp_path / "copy")
    assert gone in after
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())


def test_a_damaged_clip_is_found_and_made_again(cache, tmp_path, caplog):
    shutil.copytree(cache, tmp_path / "copy")
    sound = opened(tmp_path / "copy").batch(range(10))
    path = next(path for path in files_of(tmp_path / "copy") if "video" in load_file(path))
    content = path.read_bytes()
    path.write_bytes(content[:-8] + b"12345678")
    again = opened(tmp_path / "copy").batch(range(10))
    assert "1 encoded clips in" in caplog.text
    assert torch.equal(again.video, sound.video)
    assert path.read_bytes() == content


def test_other_sizes_are_encoded_beside_and_said(cache, tmp_path, caplog):
    shutil.copytree(cache, tmp_path / "copy")
    before = files_of(tmp_path / "copy")
    opened(tmp_path / "copy", DATA.model_copy(update={"num_frames": 5, "num_clips": 2}))
    assert "was filled with other frames; clips are encoded anew" in caplog.text
    assert set(before) < set(files_of(tmp_path / "copy"))


def test_a_model_without_encoders_cannot_fill_a_cache(tmp_path):
    (tmp_path / "model").mkdir()
    shutil.copytree(MODEL / "audio_vae", tmp_path / "model" / "audio_vae")
    with pytest.raises(DataError, match="encoding needs video_vae, text_encoder, tokenizer in"):
        open_splits(DATA, ("train",), model=tmp_path / "model", cache=tmp_path / "cache", device=CPU)


def test_a_set_too_large_for_memory_is_read_when_it_is_wanted(cache, monkeypatch):
    held = opened(cache)
    monkeypatch.setattr("mova.data.cache.IN_MEMORY", 1000)
    read = opened(cache)
    one, other = held.batch([4, 2]), read.batch([4, 2])
    for name in ("video", "condition", "mask", "audio", "prompts"):
        assert torch.equal(getattr(one, name), getattr(other, name))


def replace_numbers(path, value):
    """Write a file of a cache anew with other numbers and a right checksum, as earlier versions did."""
    tensors = load_file(path)
    for name in ("video", "prompt"):
        if name in tensors:
            tensors[name].view(-1)[0] = value
    save_file(tensors, path, metadata={"sha256": checksum(tensors), "about": "a clip"})


@pytest.mark.parametrize("damage", ["cut", "gone", "nan", "inf"])
@pytest.mark.parametrize("field", ["video", "prompt"])
def test_a_damaged_file_of_a_large_cache_is_made_again_at_its_step(cache, tmp_path, monkeypatch, caplog, field, damage):
    shutil.copytree(cache, tmp_path / "copy")
    sound = opened(tmp_path / "copy").batch(range(10))
    monkeypatch.setattr("mova.data.cache.IN_MEMORY", 1000)
    # Of the captions any may be the empty one, which is read at the beginning.
    paths = [path for path in files_of(tmp_path / "copy") if field in load_file(path)][:2]
    source = opened(tmp_path / "copy")
    assert source.host_bytes == 0
    for path in paths:
        match damage:
            case "cut":
                path.write_bytes(path.read_bytes()[:-8])
            case "gone":
                path.unlink()
            case _:
                replace_numbers(path, float(damage))
    again = source.batch(range(10))
    assert "is damaged or gone, and made again" in caplog.text
    assert torch.equal(again.video, sound.video)
    assert torch.equal(again.prompts, sound.prompts)
    assert torch.equal(opened(tmp_path / "copy").batch(range(10)).video, again.video)


def test_what_is_not_finite_in_an_old_cache_is_made_again(cache, tmp_path):
    shutil.copytree(cache, tmp_path / "copy")
    for path in files_of(tmp_path / "copy"):
        replace_numbers(path, float("nan"))
    batch = opened(tmp_path / "copy").batch(range(10))
    assert torch.isfinite(batch.video).all()
    assert torch.isfinite(batch.prompts).all()


def test_a_cache_that_another_process_fills_is_refused_by_its_name(tmp_path):
    with (
        lock_folder(tmp_path, "cache"),
        pytest.raises(DataError, match=f"one process .* cache .*process {os.getpid()}"),
    ):
        opened(tmp_path)


def test_a_full_cache_can_be_read_while_another_process_fills_it(cache):
    with lock_folder(cache, "cache"):
        assert len(opened(cache).batch([0, 1])) == 2


FILL = """
import sys, torch
from pathlib import Path
from mova.files.lock import lock_folder
from mova.weights.locate import find_model
from mova.train.config import ToyDataConfig
from mova.data.latents import open_splits
data = ToyDataConfig(num_clips=40, validation_clips=2, size=32, num_frames=9, workers=1)
open_splits(data, ("train",), model=find_model("mova-tiny"), cache=Path(sys.argv[1]), device=torch.device("cpu"))
"""


def start_filling(cache):
    return subprocess.Popen([sys.executable, "-c", FILL, str(cache)], stderr=subprocess.PIPE, text=True)


def wait_for_files(cache, count, process):
    while len(files_of(cache)) < count and process.poll() is None:
        time.sleep(0.01)


def kill_while_filling(cache, times):
    """Kill as many fillings at random moments; what is there after each is whole, and the next one goes on with it."""
    draw = random.Random(0)
    for _ in range(times):
        process = start_filling(cache)
        wait_for_files(cache, len(files_of(cache)) + draw.randrange(1, 12), process)
        time.sleep(draw.random() / 50)
        process.kill()
        process.communicate()
        assert all(LatentCache(cache).is_sound(path.stem) for path in files_of(cache))
        for path in cache.glob("*.json"):
            json.loads(path.read_text())
    kept = {path: path.stat().st_mtime_ns for path in files_of(cache)}
    source = opened(cache, DATA.model_copy(update={"num_clips": 40}))
    assert len(source.batch(range(40))) == 40
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())
    assert not list(cache.rglob("*.partial"))
    opened(cache / "at_once", DATA.model_copy(update={"num_clips": 40}))
    assert contents_of(cache) == contents_of(cache / "at_once")


def test_a_cache_whose_filling_was_killed_is_whole_and_gone_on_with(tmp_path):
    kill_while_filling(tmp_path, 1)


@pytest.mark.slow
def test_a_cache_whose_filling_was_killed_often_is_whole_and_gone_on_with(tmp_path):
    kill_while_filling(tmp_path, int(os.environ.get("MOVA_KILL_COUNT", "6")))


@pytest.mark.slow
def test_a_second_process_that_would_fill_is_told_of_the_first(tmp_path):
    first = start_filling(tmp_path)
    wait_for_files(tmp_path, 1, first)
    second = start_filling(tmp_path)
    _, errors = second.communicate()
    assert first.wait() == 0
    first.stderr.close()
    # On a machine so slow that the first one was done before, there is nothing to refuse.
    assert second.returncode == 0 or f"which process {first.pid} on" in errors
