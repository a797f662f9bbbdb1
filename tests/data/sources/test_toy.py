"""Toy scenes as a source of clips."""

import pickle

import numpy as np

from mova.data.sources.toy import ToySource
from mova.toyworld import render, sample_scene, split_seed
from mova.toyworld.caption import HELD_OUT_WORDINGS, caption
from mova.toyworld.held_out import has_held_out_combination
from mova.train.config import ToyDataConfig

DATA = ToyDataConfig(num_clips=12, validation_clips=3, size=32, num_frames=9)


def test_entries_are_the_scenes_of_the_split():
    source = ToySource(DATA, "train")
    assert len(source.entries) == 12
    wanted = render(sample_scene(split_seed("train", 5)), size=32, num_frames=9)
    assert source.entries[5].caption == wanted.caption
    clip = source.load(5)
    assert np.array_equal(clip.frames, wanted.clip.frames)
    assert np.array_equal(clip.waveform, wanted.clip.waveform)
    assert (clip.own_frames, clip.own_samples) == (9, ((0, wanted.clip.waveform.shape[1]),))
    held = ToySource(DATA, "validation")
    assert len(held.entries) == 3
    assert not {entry.identity for entry in held.entries} & {entry.identity for entry in source.entries}


def test_the_identity_follows_from_what_is_rendered():
    identity = ToySource(DATA, "train").entries[5].identity
    assert ToySource(DATA.model_copy(update={"num_clips": 9}), "train").entries[5].identity == identity
    for change in ({"size": 48}, {"num_frames": 13}, {"kinds": ("ball",), "notes": {"red": "blue", "blue": "red"}}):
        other = ToySource(DATA.model_copy(update=change), "train")
        assert identity not in {entry.identity for entry in other.entries}


def test_kinds_and_combinations_are_the_recipes():
    data = ToyDataConfig(num_clips=60, kinds=("keys", "face"), combinations="training", size=32, num_frames=9)
    source = ToySource(data, "train")
    scenes = [source.scene(index) for index in range(60)]
    assert {scene.kind for scene in scenes} == {"keys", "face"}
    assert not any(has_held_out_combination(scene) for scene in scenes)


def test_skins_are_the_recipes():
    plain = ToyDataConfig(num_clips=20, kinds=("duet", "face"), size=32, num_frames=9)
    dark = plain.model_copy(update={"skins": ("dark",)})
    ours, theirs = ([ToySource(data, "train").scene(index) for index in range(20)] for data in (dark, plain))
    assert {skin for scene in ours for skin in getattr(scene, "skins", [getattr(scene, "skin", "")])} == {"dark"}
    assert [scene.times_s for scene in ours] == [scene.times_s for scene in theirs]


def test_a_source_can_be_sent_to_another_process():
    source = ToySource(DATA, "train")
    assert pickle.loads(pickle.dumps(source)).entries == source.entries


def test_a_share_of_the_captions_says_the_same_in_other_words():
    data = ToyDataConfig(num_clips=200, kinds=("ball", "keys"), paraphrases=0.5, size=32, num_frames=9)
    source, plain = ToySource(data, "train"), ToySource(data.model_copy(update={"paraphrases": 0.0}), "train")
    other = [one.caption != own.caption for one, own in zip(source.entries, plain.entries, strict=True)]
    assert 80 < sum(other) < 120
    held_out = {caption(source.scene(index), wording=wording) for index in range(200) for wording in HELD_OUT_WORDINGS}
    assert not held_out & {entry.caption for entry in source.entries}
    # The same clips: what is encoded of them is found again.
    assert [entry.identity for entry in source.entries] == [entry.identity for entry in plain.entries]
