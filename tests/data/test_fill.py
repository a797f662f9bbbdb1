"""Filling a cache: the same files whatever the workers, in whatever order and however often it was begun."""

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from broken_source import BrokenSource
from mova.data.cache import LatentCache
from mova.data.cache_plan import CachePlan
from mova.data.config import ToyDataConfig
from mova.data.encode import Encoding
from mova.data.sources.base import RawClip
from mova.errors import DataError
from mova.weights.locate import find_model

MODEL = find_model("mova-tiny")
ENCODING = Encoding(MODEL, torch.device("cpu"))
DATA = ToyDataConfig(num_clips=11, validation_clips=2, size=32, num_frames=5, workers=1)


def plan_in(folder, **marks):
    source = BrokenSource(DATA, "train")
    vars(source).update(marks)
    return CachePlan.of(source, MODEL, LatentCache(folder))


def contents_of(folder):
    return {path.stem: path.read_bytes() for path in folder.rglob("*.safetensors")}


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("filled")
    plan_in(folder).fill(ENCODING, 1, None)
    return folder


def test_files_are_the_same_whatever_the_number_of_workers(filled, tmp_path):
    plan_in(tmp_path).fill(ENCODING, 2, None)
    assert contents_of(tmp_path) == contents_of(filled)


def test_files_are_the_same_whatever_was_there_before(filled, tmp_path):
    plan = plan_in(tmp_path)
    plan.fill(ENCODING, 1, None)
    for key in (*plan.clip_keys[1:8:2], *list(plan.text_keys.values())[::2]):
        plan.cache.path(key).unlink()
    plan.fill(ENCODING, 1, None)
    assert contents_of(tmp_path) == contents_of(filled)


def test_clips_that_cannot_be_read_are_named_and_the_others_stay_the_same(filled, tmp_path):
    shown = []
    plan = plan_in(tmp_path, broken=(0, 5, 10))
    failed = plan.fill(ENCODING, 1, lambda *counts: shown.append(counts))
    assert {index: reason.partition(": ")[2] for index, reason in failed.items()} == {
        index: f"clip {index} is broken" for index in (0, 5, 10)
    }
    assert shown[0] == (0, 11)
    assert shown[-1] == (11, 11)
    assert shown == sorted(shown)
    whole = contents_of(filled)
    assert contents_of(tmp_path) == {
        key: content for key, content in whole.items() if key not in {plan.clip_keys[index] for index in failed}
    }


def test_a_worker_that_is_killed_is_told_of(tmp_path):
    with pytest.raises(DataError, match=r"one was ended near .*, perhaps for want of memory; take fewer"):
        plan_in(tmp_path, deadly=7).fill(ENCODING, 2, None)
    assert not list(tmp_path.rglob("*.partial"))


def test_a_folder_that_cannot_be_written_ends_the_filling_and_what_was_written_stays(filled, tmp_path):
    plan = plan_in(tmp_path)
    plan.cache.path(plan.clip_keys[9]).parent.write_text("in the way")
    with pytest.raises(DataError, match="must be writable"):
        plan.fill(ENCODING, 1, None)
    assert not list(tmp_path.rglob("*.partial"))
    whole = contents_of(filled)
    assert all(whole[key] == content for key, content in contents_of(tmp_path).items())
    assert plan.clip_keys[0] in contents_of(tmp_path)


def test_clips_of_other_sizes_than_a_source_says_come_all_the_same(filled, tmp_path):
    class Larger(BrokenSource):
        def load(self, index, start_s=None):
            clip = super().load(index, start_s)
            return RawClip(clip.frames.repeat(2, 1).repeat(2, 2), clip.waveform, clip.own_frames, clip.own_samples)

    plan = plan_in(tmp_path)
    plan = replace(plan, source=Larger(DATA, "train"))
    assert plan.fill(ENCODING, 1, None) == {}
    assert contents_of(tmp_path).keys() == contents_of(filled).keys()


FILL = """
import sys, torch
from pathlib import Path
from mova.data.config import ToyDataConfig
from mova.data.latents import open_splits
from mova.weights.locate import find_model
data = ToyDataConfig(num_clips=400, validation_clips=2, size=32, num_frames=17, workers=2)
if __name__ == "__main__":
    open_splits(data, ("train",), model=find_model("mova-tiny"), cache=Path(sys.argv[1]), device=torch.device("cpu"))
"""


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_workers_end_with_a_filling_and_what_it_wrote_is_whole(tmp_path, how):
    (tmp_path / "fill.py").write_text(FILL)
    cache = tmp_path / "cache"
    run = subprocess.Popen([sys.executable, tmp_path / "fill.py", cache], stderr=subprocess.PIPE, text=True)
    while not contents_of(cache) and run.poll() is None:
        time.sleep(0.01)
    workers = psutil.Process(run.pid).children(recursive=True)
    assert workers
    run.send_signal(how)
    errors = run.communicate()[1]
    psutil.wait_procs(workers)
    assert not [worker for worker in workers if worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE]
    assert run.returncode != 0
    if how == signal.SIGINT:
        assert errors.rstrip().endswith("KeyboardInterrupt")
        assert not list(cache.rglob("*.partial"))
    found = LatentCache(cache)
    assert all(found.is_sound(Path(key).stem) for key in contents_of(cache))
    assert len(contents_of(cache)) < 400
