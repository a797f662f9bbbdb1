"""What a clip says of its origin, and what is made of it again."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mova.errors import ConfigError, ReadError
from mova.generate.record import describe
from mova.generate.request import ClipOptions, MediaFiles
from mova.generate.run import make_request
from mova.media.write import read_metadata, write_clip
from mova.pipeline.origin import RecordedFile, file_sha256, find_recorded, is_same_clip, read_origin
from mova.settings.sampling import GivenSettings
from mova.types import Clip

SETTINGS = {"height": 32, "width": 48, "num_frames": 9, "num_inference_steps": 3, "guidance_scale": 1.0}


def clip_with(path, metadata):
    frames, waveform = np.zeros((2, 16, 16, 3), np.uint8), np.zeros((1, 1333), np.float32)
    write_clip(path, Clip(frames, waveform, 24.0, 16_000), metadata=metadata)
    return path


def described(checkpoint, tmp_path):
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "first.png")
    files, settings = MediaFiles(image=tmp_path / "first.png"), GivenSettings(**SETTINGS)
    options = ClipOptions(prompt="a dog", seed=5, index=2, files=files, settings=settings)
    folder, request = make_request(str(checkpoint), options)
    return describe(request, folder)


def test_a_record_is_one_json_object_with_the_hash_of_every_file(checkpoint, tmp_path):
    record = described(checkpoint, tmp_path)
    assert json.loads(json.dumps(record)) == record
    assert record["image"] == {
        "file": "first.png",
        "sha256": sha256((tmp_path / "first.png").read_bytes()).hexdigest(),
    }
    assert (record["seed"], record["index"], record["settings"]["num_inference_steps"]) == (5, 2, 3)
    assert {"python", "torch", "diffusers"} <= set(record["versions"])
    assert str(tmp_path) not in json.dumps(record), "a path of this machine"


def test_a_record_is_read_from_the_clip(checkpoint, tmp_path):
    record = described(checkpoint, tmp_path)
    origin = read_origin(clip_with(tmp_path / "a.mp4", record))
    assert (origin.prompt, origin.seed, origin.index, origin.model) == ("a dog", 5, 2, "pipeline_checkpoint")
    assert origin.inputs == {"image": RecordedFile("first.png", record["image"]["sha256"])}
    assert origin.settings.guidance_interval == (0.0, 1.0)
    assert origin.settings.hold_noise == 0
    said = clip_with(tmp_path / "b.mp4", record | {"settings": record["settings"] | {"hold_noise": 0.5}})
    assert read_origin(said).settings.hold_noise == 0.5
    assert is_same_clip(read_metadata(tmp_path / "a.mp4"), record | {"device": "cuda", "mova": "9"})
    assert not is_same_clip(record, record | {"seed": 6})


def test_records_of_version_0_1_are_read(tmp_path):
    old = {
        "prompt": "a dog",
        "negative_prompt": "",
        "seed": "5",
        "settings": json.dumps({**SETTINGS, "guidance_interval": [0.0, 1.0], "video_shift": None}),
        "model": "mova-tiny",
        "weights_sha256": "abc",
        "mova": "0.1.0",
        "loras": json.dumps([{"file": "style.safetensors", "scale": 0.5, "sha256": "def"}]),
        "image": "first.png",
    }
    origin = read_origin(clip_with(tmp_path / "a.mp4", old))
    assert (origin.seed, origin.index, origin.settings.height) == (5, 0, 32)
    assert origin.settings.hold_noise == 0, "held clean, as everything was, whatever the model recommends since"
    assert origin.loras == (RecordedFile("style.safetensors", "def", 0.5),)
    assert origin.inputs == {"image": RecordedFile("first.png", None)}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"seed": "many"}, "seed must be a whole number, got 'many'"),
        ({"seed": -1}, "seed must be from 0 to any"),
        ({"settings": "{"}, "settings must be JSON"),
        ({"settings": [1]}, "settings must be a JSON object"),
        ({"settings": {"height": "tall"}}, "height must be a whole number, got 'tall'"),
        ({"settings": {"guidance_interval": [1]}}, "guidance_interval must be two numbers"),
        ({"settings": {"colour": 1}}, "must hold only height, width"),
        ({"model": 3}, "model must be text, got 3"),
        ({"image": {"file": "../secret.png", "sha256": "a"}}, "file must be the plain name of a file"),
        ({"image": "/etc/passwd"}, "image must be the plain name of a file"),
        ({"loras": {"a": 1}}, "loras must be a list"),
        ({"loras": [{"file": "a", "scale": "big", "sha256": "a"}]}, "scale must be a finite number"),
        ({"start_s": -1}, "start_s must be from 0"),
    ],
    ids=str,
)
def test_a_record_of_a_stranger_is_refused_with_file_and_key(tmp_path, change, text):
    record = {"prompt": "a", "seed": 1, "settings": {}, "model": "mova-tiny"} | change
    with pytest.raises(ConfigError, match=text):
        read_origin(clip_with(tmp_path / "a.mp4", record))


def test_a_clip_that_says_nothing_of_its_origin_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="from must be a clip that mova generate made"):
        read_origin(clip_with(tmp_path / "a.mp4", {"prompt": "rendered", "seed": "1"}))
    with pytest.raises(ReadError):
        read_origin(tmp_path / "none.mp4")


def test_a_file_is_found_by_name_and_content(tmp_path):
    origin = read_origin(clip_with(tmp_path / "a.mp4", {"prompt": "a", "settings": {}, "model": "mova-tiny"}))
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "one" / "first.png").write_bytes(b"other")
    (tmp_path / "two" / "first.png").write_bytes(b"right")
    wanted = RecordedFile("first.png", sha256(b"right").hexdigest())
    folders = [tmp_path / "one", tmp_path / "two"]
    assert find_recorded("image", wanted, origin, folders) == tmp_path / "two" / "first.png"
    with pytest.raises(ReadError, match=f"got .*one/first.png with sha256 {sha256(b'other').hexdigest()}"):
        find_recorded("image", wanted, origin, folders[:1])
    with pytest.raises(ReadError, match=f"{wanted.sha256}.*which is not in .*; give it with --last-image"):
        find_recorded("last_image", wanted, origin, [Path(tmp_path)])


def test_a_folder_of_a_lora_has_the_hash_of_its_files(tmp_path):
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    (folder / "adapter_config.json").write_text('{"lora_alpha": 1}')
    (folder / "notes.txt").write_text("1")
    before = file_sha256(folder)
    (folder / "notes.txt").write_text("2")
    assert file_sha256(folder) == before
    (folder / "adapter_config.json").write_text('{"lora_alpha": 2}')
    assert file_sha256(folder) != before
