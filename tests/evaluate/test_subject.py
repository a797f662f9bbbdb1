"""What is measured: clips of a folder. Clips of a model are measured in tests/cli/test_evaluate.py."""

import json
import shutil

import numpy as np
import pytest

from mova.errors import ConfigError, ReadError
from mova.evaluate.subject import ClipFolder
from mova.toyworld.export import render_clips


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    render_clips(1, 3, folder, size=32, kind="keys", num_frames=9)
    return folder


@pytest.fixture
def clips(rendered, tmp_path):
    shutil.copytree(rendered, tmp_path / "clips")
    return tmp_path / "clips"


def changed(folder, **values):
    (path,) = folder.glob("*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_the_truth_is_rendered_anew_and_the_clip_is_read(clips):
    subject = ClipFolder(clips)
    asked = subject.asked(0)
    clip = subject.clip(0, asked)
    assert (subject.num_clips, asked.scene.kind, asked.scene.seed) == (1, "keys", 3)
    assert clip.frames.shape == asked.clip.frames.shape == (9, 32, 32, 3)
    assert np.abs(clip.frames.astype(int) - asked.clip.frames).mean() < 5
    assert subject.ceiling(asked) is None


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"scene": {"kind": "ball", "seed": 3}}, "scene must be the one that kind ball and seed 3 give"),
        ({"scene": {"kind": "bell", "seed": 3}}, "kind of scene must be one of ball"),
        ({"scene": 3}, "scene must be a JSON object"),
        ({"caption": "a cat"}, "caption must be the scene's, got 'a cat'"),
        ({"height": 2}, "height must be from 16 to 4096, got 2; nearest is 16"),
    ],
)
def test_a_truth_that_is_none_is_refused(clips, values, text):
    changed(clips, **values)
    with pytest.raises(ConfigError, match=text):
        ClipFolder(clips).asked(0)


def test_a_clip_of_another_size_is_refused(clips):
    changed(clips, height=64, width=64)
    subject = ClipFolder(clips)
    with pytest.raises(ReadError, match="must be 64x64, as its truth says, got 32x32"):
        subject.clip(0, subject.asked(0))


def test_a_folder_without_clips_is_refused(clips, tmp_path):
    with pytest.raises(ConfigError, match="clips-from must be a folder of clips"):
        ClipFolder(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"must hold 1 to 10000 clips, .* got 0 JSON files"):
        ClipFolder(tmp_path)
    next(clips.glob("*.mp4")).unlink()
    with pytest.raises(ConfigError, match=r"must hold the clip of every truth, got none at keys_00000003.mp4 \(1 such"):
        ClipFolder(clips)
