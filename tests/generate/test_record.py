"""The record of a request says all that makes the clip again, and hashes of what it was made from."""

import json

from mova.generate.record import describe
from mova.generate.request import ClipOptions, MediaFiles
from mova.generate.run import make_request
from mova.pipeline.origin import file_sha256, is_same_clip
from mova.settings.sampling import GivenSettings
from mova.weights.fingerprint import weights_hash


def test_a_record_holds_settings_inputs_and_the_weights(checkpoint, tmp_path):
    from PIL import Image

    Image.new("RGB", (32, 32)).save(tmp_path / "first.png")
    files, size = MediaFiles(image=tmp_path / "first.png"), GivenSettings(width=32, height=32)
    folder, request = make_request(str(checkpoint), ClipOptions(prompt="a dog", seed=5, files=files, settings=size))
    record = describe(request, folder)
    assert json.loads(json.dumps(record)) == record
    assert (record["prompt"], record["seed"], record["settings"]["width"]) == ("a dog", 5, 32)
    assert record["image"] == {"file": "first.png", "sha256": file_sha256(tmp_path / "first.png")}
    assert record["weights_sha256"] == weights_hash(folder)
    assert is_same_clip(record, record | {"device": "cuda", "versions": {}})
    assert not is_same_clip(record, record | {"seed": 6})
