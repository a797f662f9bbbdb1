import json

import numpy as np
import pytest
from PIL import Image

from mova.errors import GeometryError, MovaError, MuxError, ReadError
from mova.generate import load
from mova.generate.run import DECODING, LOADING, SAMPLING, WRITING, describe, generate_file, make_request
from mova.media.read import read_clip
from mova.media.write import read_metadata

SHORT = {"height": 32, "width": 48, "num_frames": 9, "num_inference_steps": 3, "guidance_scale": 1.0}


@pytest.fixture
def weights_stay_closed(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("weights were loaded before everything was checked")

    monkeypatch.setattr(load, "load_pipeline", refuse)


def test_request_becomes_a_file_that_tells_its_origin(checkpoint, tmp_path):
    seen = []
    folder, request = make_request(str(checkpoint), prompt="a dog  barks", seed=5, **SHORT)
    made = generate_file(request, folder, tmp_path / "a.mp4", on_progress=lambda *event: seen.append(event))

    clip = read_clip(made.path)
    assert clip.frames.shape == (9, 32, 48, 3)
    assert clip.waveform.shape == (1, 18_000)
    assert read_metadata(made.path) == dict(made.metadata)
    assert made.metadata["prompt"] == "a dog  barks"
    assert (made.metadata["seed"], made.metadata["model"]) == ("5", "pipeline_checkpoint")
    assert made.metadata["weights_sha256"] == load.weights_hash(checkpoint)
    assert json.loads(made.metadata["settings"])["num_inference_steps"] == 3
    assert seen == [
        (LOADING, 0, 1),
        (SAMPLING, 0, 3),
        (SAMPLING, 1, 3),
        (SAMPLING, 2, 3),
        (SAMPLING, 3, 3),
        (DECODING, 0, 1),
        (WRITING, 0, 1),
    ]
    assert set(made.seconds) == {LOADING, SAMPLING, DECODING, WRITING}
    assert json.loads(made.to_json())["num_frames"] == 9


def test_settings_in_the_file_make_the_same_clip_again(checkpoint, tmp_path):
    folder, request = make_request(str(checkpoint), prompt="a dog", seed=1, **SHORT)
    first = generate_file(request, folder, tmp_path / "a.mp4")
    origin = first.metadata
    again = make_request(
        str(checkpoint), prompt=origin["prompt"], seed=int(origin["seed"]), **json.loads(origin["settings"])
    )[1]
    second = generate_file(again, folder, tmp_path / "b.mp4")
    assert np.array_equal(read_clip(first.path).frames, read_clip(second.path).frames)
    assert second.metadata == origin


def test_what_was_cut_is_reported(checkpoint, tmp_path):
    folder, request = make_request(str(checkpoint), prompt="a dog " * 400 + "boat", **SHORT)
    made = generate_file(request, folder, tmp_path / "a.mp4")
    (cut,) = json.loads(made.to_json())["cut_prompts"]
    assert cut["max_tokens"] == 512
    assert cut["removed_text"].endswith("boat")


def test_negative_prompt_of_the_model_is_recorded(checkpoint, tmp_path):
    folder, request = make_request(str(checkpoint), prompt="a dog", negative_prompt="grey", **SHORT)
    assert describe(request, folder)["negative_prompt"] == "grey"
    assert make_request(str(checkpoint), prompt="a dog")[1].negative_prompt == ""


@pytest.mark.usefixtures("weights_stay_closed")
def test_wrong_values_stop_before_weights_are_loaded(checkpoint, tmp_path):
    with pytest.raises(GeometryError, match="width must be a positive multiple of 16, got 50; nearest are 48 and 64"):
        make_request(str(checkpoint), prompt="a dog", **(SHORT | {"width": 50}))

    folder, request = make_request(str(checkpoint), prompt="a dog", **SHORT)
    with pytest.raises(MuxError, match="directory that exists"):
        generate_file(request, folder, tmp_path / "missing" / "a.mp4")
    with pytest.raises(MuxError, match=r"must end in \.mp4"):
        generate_file(request, folder, tmp_path / "a.gif")

    broken = tmp_path / "broken.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(broken)
    broken.write_bytes(broken.read_bytes()[:120])
    folder, request = make_request(str(checkpoint), prompt="a dog", files={"image": broken}, **SHORT)
    with pytest.raises(ReadError, match=r"broken\.png"):
        generate_file(request, folder, tmp_path / "a.mp4")
    assert not (tmp_path / "a.mp4").exists()


def test_failure_while_sampling_leaves_no_file(checkpoint, tmp_path):
    folder, request = make_request(str(checkpoint), prompt="a dog", **SHORT)

    def stop(stage, done, _):
        if (stage, done) == (SAMPLING, 2):
            raise MovaError("stopped")

    with pytest.raises(MovaError, match="stopped"):
        generate_file(request, folder, tmp_path / "a.mp4", on_progress=stop)
    assert list(tmp_path.iterdir()) == []
