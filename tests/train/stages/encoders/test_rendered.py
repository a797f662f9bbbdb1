"""Rendered clips on disk."""

import json

import numpy as np
import pytest

from mova.toyworld import render, sample_scene, split_seed
from mova.train.config import ToyDataConfig
from mova.train.stages.encoders.rendered import ClipRenderer, prepare_clips

DATA = ToyDataConfig(num_clips=70, size=16, num_frames=5, workers=1)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def clips(home):
    """70 clips: more than one part."""
    return prepare_clips(home, DATA, "train")


def rendered(split, index):
    return render(sample_scene(split_seed(split, index)), size=16, num_frames=5, frame_rate=24.0, sample_rate=16_000)


@pytest.mark.parametrize("index", [0, 1, 63, 64, 69])
def test_clips_are_those_of_their_seeds_in_order(clips, index):
    expected = rendered("train", index)
    assert np.array_equal(clips.frames[index], expected.clip.frames)
    assert np.array_equal(clips.waveforms[index], expected.clip.waveform[0])
    assert clips.captions[index] == expected.caption


def test_shapes_and_counts(clips):
    assert clips.frames.shape == (70, 5, 16, 16, 3)
    assert clips.frames.dtype == np.uint8
    assert clips.waveforms.shape == (70, 5 * 16_000 // 24)
    assert clips.waveforms.dtype == np.float32
    assert len(clips.captions) == 70


def test_splits_hold_different_clips(clips, home):
    held_out = prepare_clips(home, DATA, "validation", 2)
    assert np.array_equal(held_out.frames[1], rendered("validation", 1).clip.frames)
    assert not np.array_equal(held_out.frames[:2], clips.frames[:2])


@pytest.mark.parametrize("change", [{"kinds": ("keys",)}, {"ranked_captions": False}])
def test_other_scenes_of_equal_size_are_not_taken_for_these(tmp_path, change):
    few = DATA.model_copy(update={"num_clips": 8})
    these, others = (prepare_clips(tmp_path, data, "train") for data in (few, few.model_copy(update=change)))
    assert others.captions != these.captions


def test_what_is_there_is_not_rendered_again(clips, home):
    (folder,) = home.glob("train_16x5_70_*")
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    again = prepare_clips(home, DATA, "train")
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert again.captions == clips.captions


def test_only_the_part_that_an_interruption_lost_is_rendered_again(tmp_path):
    """A part counts from the moment its captions are there; until then its arrays may hold anything."""
    shown = []
    with ClipRenderer(DATA) as renderer:
        whole = renderer.prepare(tmp_path, "train", 100, 70)
        expected = np.array(whole.frames)
        (tmp_path / "captions_0000064.json").unlink()
        frames = np.load(tmp_path / "frames.npy", mmap_mode="r+")
        frames[0], frames[66] = 7, 7
        frames.flush()
        again = renderer.prepare(tmp_path, "train", 100, 70, on_progress=lambda *done: shown.append(done))
    assert shown == [(70, 70)]
    assert np.array_equal(again.frames[66], expected[66])
    assert (again.frames[0] == 7).all()
    assert json.loads((tmp_path / "captions_0000064.json").read_text()) == list(again.captions[64:])
    assert again.captions[3] == rendered("train", 103).caption


def test_clips_with_other_skins_have_a_folder_of_their_own(tmp_path):
    data = ToyDataConfig(num_clips=6, size=16, num_frames=5, workers=1, kinds=("face",))
    plain = prepare_clips(tmp_path, data, "train")
    dark = prepare_clips(tmp_path, data.model_copy(update={"skins": ("dark",)}), "train")
    assert len(list(tmp_path.iterdir())) == 2
    assert plain.captions == dark.captions
    assert not np.array_equal(plain.frames, dark.frames)
