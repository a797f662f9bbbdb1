"""Which files a cache must hold, and which of them are missing."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from mova.data.cache import LatentCache
from mova.data.cache_plan import CachePlan
from mova.data.encode import Encoding
from mova.data.sources.toy import ToySource
from mova.errors import DataError
from mova.train.config import ToyDataConfig
from mova.weights.locate import find_model

MODEL = find_model("mova-tiny")
ENCODING = Encoding(MODEL, torch.device("cpu"))
DATA = ToyDataConfig(num_clips=3, validation_clips=2, size=32, num_frames=5, workers=1)


@pytest.fixture
def plan(tmp_path):
    return CachePlan.of(ToySource(DATA, "train"), MODEL, LatentCache(tmp_path / "cache"))


def test_everything_is_missing_before_and_nothing_after_it_is_filled(plan):
    missing = plan.missing()
    assert (len(missing.clips), len(missing.whites), len(missing.texts)) == (3, 1, 4)
    assert "" in missing.texts
    planned = plan.bytes_of(missing)
    assert plan.fill(ENCODING, 1, None) == {}
    assert not plan.missing()
    assert plan.bytes_of(plan.missing()) == 0
    written = sum(path.stat().st_size for path in plan.cache.folder.rglob("*.safetensors"))
    assert written <= planned <= 1.5 * written


def test_what_cannot_be_made_again_is_told_with_its_reason(plan, monkeypatch):
    plan.fill(ENCODING, 1, None)
    plan.cache.path(plan.clip_keys[1]).unlink()
    monkeypatch.setattr("mova.data.decoding._load", lambda *_: "the disk is gone")
    with pytest.raises(DataError, match=r"is damaged and cannot be made again: the disk is gone"):
        plan.make_again(plan.clip_keys[1], ENCODING)


def test_progress_is_that_of_different_files(plan):
    shown = []
    plan.fill(ENCODING, 1, lambda done, total: shown.append((done, total)))
    assert shown == [(0, 3), (3, 3)]


def test_files_that_are_read_in_another_way_are_found_as_others(plan):
    read = SimpleNamespace(**vars(plan.source))
    read.entries = [replace(entry, reading=2) for entry in plan.source.entries]
    others = CachePlan.of(read, MODEL, plan.cache)
    assert not set(others.clip_keys) & set(plan.clip_keys)
    assert others.white_keys == plan.white_keys
