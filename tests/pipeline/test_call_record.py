"""Clips that are saved from Python say how they were made, as those of the command do."""

import numpy as np
import pytest

from mova.errors import ConfigError, MuxError
from mova.media.read import read_clip
from mova.media.write import read_metadata
from mova.pipeline.call_record import IN_PYTHON, each_text
from mova.pipeline.origin import read_origin
from mova.weights.fingerprint import weights_hash


@pytest.fixture(scope="module")
def two_clips(pipe, short):
    image = np.zeros((32, 32, 3), np.uint8)
    return pipe(["a dog", "gulls"], image=image, negative_prompt="static", **short, seed=3)


def test_a_saved_clip_says_how_it_was_made(two_clips, pipe, checkpoint, tmp_path):
    (file,) = two_clips.save(tmp_path / "clip.mp4", 1, metadata={"note": "mine"})
    assert file == tmp_path / "clip.mp4"
    record, origin = read_metadata(file), read_origin(file)
    assert (origin.prompt, origin.negative_prompt, origin.seed, origin.index) == ("gulls", "static", 3, 1)
    assert origin.settings.num_inference_steps == 4
    assert (origin.model, origin.weights_sha256) == (checkpoint.name, weights_hash(checkpoint))
    assert origin.inputs["image"].file == IN_PYTHON
    assert record["note"] == "mine"
    assert {"mova", "versions"} <= record.keys()
    assert len(read_clip(file, frame_rate=24.0).frames) == 5


def test_clips_of_a_batch_get_numbers(two_clips, tmp_path):
    files = two_clips.save(str(tmp_path / "clip.mp4"))
    assert [file.name for file in files] == ["clip-000.mp4", "clip-001.mp4"]
    assert [read_origin(file).prompt for file in files] == ["a dog", "gulls"]
    assert [file.name for file in two_clips.save(tmp_path / "%02d-of-two.mp4")] == ["00-of-two.mp4", "01-of-two.mp4"]


def test_what_cannot_be_saved_leaves_no_file(two_clips, pipe, short, tmp_path):
    latents = pipe("a dog", **short, seed=0, output_type="latent")
    with pytest.raises(ConfigError, match="latents are not a clip"):
        latents.save(tmp_path / "clip.mp4")
    with pytest.raises(ConfigError, match="index must be a whole number from 0 to 1, got 2; nearest is 1"):
        two_clips.save(tmp_path / "clip.mp4", 2)
    with pytest.raises(MuxError):
        two_clips.save(tmp_path / "clip.gif")
    assert list(tmp_path.iterdir()) == []


def test_each_clip_has_its_text():
    assert each_text("a", 1, 2) == ["a", "a"]
    assert each_text(["a", "b"], 2, 2) == ["a", "a", "b", "b"]
    assert each_text(["a", "b", "c", "d"], 2, 2) == ["a", "b", "c", "d"]
    assert each_text(None, 2, 1) == [None, None]
