"""The fingerprint of a model follows its weights and nothing else."""

import json
import shutil

from safetensors.torch import load_file, save_file

from mova.weights.fingerprint import weights_hash

WEIGHTS = "diffusion_pytorch_model.safetensors"


def test_weights_hash_follows_the_weights_and_nothing_else(checkpoint, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(checkpoint, folder)
    before = weights_hash(checkpoint)
    index = folder / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"note": "x"}))
    assert weights_hash(folder) == before

    tensors = load_file(folder / "video_dit" / WEIGHTS)
    tensors["head.head.bias"][0] += 1e-3
    save_file(tensors, folder / "video_dit" / WEIGHTS)
    assert weights_hash(folder) != before


def test_large_files_are_hashed_in_samples(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("mova.files.fingerprint.SAMPLE_BYTES", 512)
    folder = tmp_path / "model"
    shutil.copytree(checkpoint, folder)
    before = weights_hash(folder)
    file = folder / "video_dit" / WEIGHTS
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert weights_hash(folder) != before, "the end of a file is always among the samples"
