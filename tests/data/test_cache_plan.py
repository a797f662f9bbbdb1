"""Which files a cache must hold, and which of them are missing."""

import logging
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from mova.data.cache import LatentCache
from mova.data.cache_plan import CachePlan, plan_splits
from mova.data.encode import CLIP_PARTS, Encoding, fingerprint
from mova.data.sources.base import digest
from mova.data.sources.toy import ToySource
from mova.device import PRECISION_VARIABLE
from mova.errors import ConfigError, DataError
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


def test_what_is_known_for_other_tasks_is_filled_beside_what_is_there(plan):
    plan.fill(ENCODING, 1, None)
    more = CachePlan.of(plan.source, MODEL, plan.cache, known=("last_frame", "prefix"))
    missing = more.missing()
    assert more.clip_keys == plan.clip_keys
    assert (list(missing.clips), missing.whites, missing.texts) == ([0, 1, 2], [], [])
    assert missing.there == set(plan.clip_keys)
    there = sum(path.stat().st_size for path in plan.cache.folder.rglob("*.safetensors"))
    planned = more.bytes_of(missing)
    assert more.fill(ENCODING, 1, None) == {}
    assert not more.missing()
    written = sum(path.stat().st_size for path in plan.cache.folder.rglob("*.safetensors")) - there
    assert written <= planned <= 2 * written


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


def test_float32_and_bfloat16_never_mix_and_float32_is_found_by_the_keys_that_it_always_had(plan):
    weights = fingerprint(MODEL, CLIP_PARTS)
    entry = plan.source.entries[0]
    assert plan.precision == "float32"
    assert plan.clip_keys[0] == digest("clip", entry.identity, entry.content, weights)
    assert "precision" not in plan.settings
    rounded = CachePlan.of(plan.source, MODEL, plan.cache, "bfloat16")
    assert not set(rounded.clip_keys) & set(plan.clip_keys)
    assert rounded.settings == plan.settings | {"precision": "bfloat16"}
    # White frames and captions are encoded in float32 whatever clips are encoded in.
    assert (rounded.white_keys, rounded.text_keys) == (plan.white_keys, plan.text_keys)


def test_a_plan_is_filled_in_its_own_precision_and_says_what_is_made_beside_it(plan, caplog):
    plan.fill(ENCODING, 1, None)
    rounded = CachePlan.of(plan.source, MODEL, plan.cache, "bfloat16")
    assert len(rounded.missing().clips) == 3
    assert not rounded.missing().texts
    with caplog.at_level(logging.WARNING):
        rounded.fill(ENCODING, 1, None)
    assert "was filled with other precision; clips are encoded anew beside those" in caplog.text
    one, other = (plan.cache.read(each.clip_keys[0])["video"].float() for each in (plan, rounded))
    assert 0 < (one - other).abs().mean() < 0.02
    assert torch.equal(one, plan.cache.read(plan.clip_keys[0])["video"].float())


@pytest.fixture
def undecided(monkeypatch):
    """A processor that multiplies bfloat16, and an environment that says nothing of it."""
    monkeypatch.setattr("mova.device.multiplies_bfloat16", lambda: True)
    monkeypatch.delenv(PRECISION_VARIABLE)


def precision_of(plan, compute="auto", device="cpu"):
    plans = plan_splits({"train": plan.source}, Encoding(MODEL, torch.device(device), compute), plan.cache)
    return plans["train"].precision


@pytest.mark.usefixtures("undecided")
def test_auto_goes_on_in_the_precision_that_a_cache_has_more_of(plan):
    assert precision_of(plan) == precision_of(plan, device="cuda") == "bfloat16"
    plan.cache.write(plan.clip_keys[1], {"video": torch.zeros(1)}, "a clip")
    assert precision_of(plan) == precision_of(plan, device="cuda") == "float32"
    assert precision_of(plan, "bfloat16") == "bfloat16"
    rounded = CachePlan.of(plan.source, MODEL, plan.cache, "bfloat16")
    rounded.cache.write(rounded.clip_keys[0], {"video": torch.zeros(1)}, "a clip")
    assert precision_of(plan) == "bfloat16"


def test_what_the_environment_names_is_taken_whatever_a_cache_has(plan, monkeypatch):
    rounded = CachePlan.of(plan.source, MODEL, plan.cache, "bfloat16")
    rounded.cache.write(rounded.clip_keys[0], {"video": torch.zeros(1)}, "a clip")
    assert precision_of(plan) == "float32", "as tests/conftest.py says"
    monkeypatch.setenv(PRECISION_VARIABLE, "bfloat16")
    assert precision_of(plan) == "bfloat16"
    monkeypatch.setenv(PRECISION_VARIABLE, "half")
    with pytest.raises(ConfigError, match="MOVA_PRECISION must be one of"):
        precision_of(plan)
