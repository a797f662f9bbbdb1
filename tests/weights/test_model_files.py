"""What convert copies of a stranger's model: known files, plain names, nothing through links out of the folder."""

import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from mova.errors import CheckpointError
from mova.pipeline.load import load_pipeline
from mova.weights.fingerprint import weights_hash
from mova.weights.rewrite import convert_weights, inspect_weights, verify_weights

CHECKPOINT = Path(__file__).parents[1] / "numerics" / "records" / "pipeline_checkpoint"
SECRET = "-----BEGIN PRIVATE KEY-----"


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(CHECKPOINT, folder)
    return folder


@pytest.fixture
def secret(tmp_path):
    file = tmp_path / "id_rsa"
    file.write_text(SECRET)
    return file


def rename_component(folder, name, new_name):
    file = folder / "model_index.json"
    index = json.loads(file.read_text())
    index[new_name] = index[name]
    file.write_text(json.dumps(index))


def contents(folder):
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_only_known_files_are_copied(model, tmp_path):
    for name in ("notes.txt", "video_dit/train.py", "tokenizer/tokenization.py", ".env", "scheduler/old.bin"):
        (model / name).write_text("x")
    (model / "README.md").write_text("card")
    (model / "tokenizer" / ".git").mkdir()
    target = convert_weights(model, tmp_path / "new")
    found = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert found == {str(path.relative_to(CHECKPOINT)) for path in CHECKPOINT.rglob("*") if path.is_file()} | {
        "README.md"
    }


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "model_index.json",
        "tokenizer/spiece.model",
        "scheduler/scheduler_config.json",
        "video_dit/config.json",
        "audio_dit/diffusion_pytorch_model.safetensors",
    ],
)
def test_a_link_out_of_the_folder_is_refused_and_nothing_is_written(model, tmp_path, name, secret):
    place = secret
    if name != "README.md":
        place = tmp_path / "elsewhere"
        shutil.move(model / name, place)
    (model / name).symlink_to(place)
    with pytest.raises(CheckpointError, match=f"{Path(name).name} is a link to .*, outside of"):
        convert_weights(model, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert not [path for path in tmp_path.iterdir() if "new" in path.name]


def test_a_component_that_is_a_link_out_of_the_folder_is_refused(model, tmp_path):
    shutil.move(model / "video_dit", tmp_path / "other")
    (model / "video_dit").symlink_to(tmp_path / "other")
    with pytest.raises(CheckpointError, match="outside of"):
        convert_weights(model, tmp_path / "new")
    # To read them is what the owner of the links asked for.
    assert verify_weights(model) == verify_weights(CHECKPOINT)


def test_links_inside_of_the_folder_and_to_it_are_followed(model, tmp_path):
    shutil.rmtree(model / "video_dit_2")
    (model / "video_dit_2").symlink_to("video_dit")
    (tmp_path / "link").symlink_to(model)
    target = convert_weights(tmp_path / "link", tmp_path / "new")
    assert not any(path.is_symlink() for path in target.rglob("*"))
    assert verify_weights(target) == verify_weights(CHECKPOINT)


def test_a_snapshot_of_the_hubs_cache_is_loaded_and_converted(tmp_path):
    repository = tmp_path / "models--owner--name"
    snapshot, blobs = repository / "snapshots" / "0123abcd", repository / "blobs"
    blobs.mkdir(parents=True)
    for number, file in enumerate(sorted(path for path in CHECKPOINT.rglob("*") if path.is_file())):
        shutil.copyfile(file, blobs / f"blob{number}")
        place = snapshot / file.relative_to(CHECKPOINT)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(os.path.relpath(blobs / f"blob{number}", place.parent))
    assert weights_hash(snapshot) == weights_hash(CHECKPOINT)
    assert load_pipeline(snapshot).video_dit.config.num_layers
    target = convert_weights(snapshot, tmp_path / "new")
    assert not any(path.is_symlink() for path in target.rglob("*"))
    assert verify_weights(target) == verify_weights(CHECKPOINT)
    part = convert_weights(snapshot / "audio_dit", tmp_path / "part")
    assert verify_weights(part) == {"part": verify_weights(CHECKPOINT)["audio_dit"]}


@pytest.mark.parametrize("name", ["../victim", "a/b", "..", ".", "C:victim", ".hidden", "", "absolute"])
@pytest.mark.parametrize("use", [inspect_weights, verify_weights, load_pipeline])
def test_components_are_named_by_plain_names(model, tmp_path, name, use):
    victim = tmp_path / "victim"
    shutil.copytree(CHECKPOINT / "video_dit", victim)
    rename_component(model, "video_dit", str(victim) if name == "absolute" else name)
    with pytest.raises(CheckpointError, match=r"model_index\.json: the name of a component must be a plain name"):
        use(model)


def test_another_model_is_not_overwritten_by_an_absolute_name(model, tmp_path):
    victim = tmp_path / "victim"
    shutil.copytree(CHECKPOINT / "video_dit", victim)
    before = contents(victim)
    rename_component(model, "video_dit", str(victim))
    with pytest.raises(CheckpointError, match="plain name"):
        convert_weights(model, tmp_path / "new", dtype="bf16")
    assert contents(victim) == before
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_files_have_the_modes_that_the_umask_leaves(tmp_path, umask):
    before = os.umask(umask)
    try:
        target = convert_weights(CHECKPOINT, tmp_path / "new", max_shard_size="300KB")
    finally:
        os.umask(before)
    for path in (target, *target.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o777 if path.is_dir() else 0o666) & ~umask, path


# ---- other files beside the weights ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["._diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors", "other.safetensors"]
)
def test_files_that_are_not_loaded_change_nothing(model, tmp_path, name):
    before = weights_hash(model), inspect_weights(model), verify_weights(model)
    (model / "video_dit" / name).write_bytes(b"Mac OS X resource fork")
    shutil.copy(CHECKPOINT / "audio_vae" / "diffusion_pytorch_model.safetensors", model / "audio_vae" / "x.safetensors")
    assert (weights_hash(model), inspect_weights(model), verify_weights(model)) == before
    target = convert_weights(model, tmp_path / "new")
    assert not (target / "video_dit" / name).exists()
    assert weights_hash(target) == weights_hash(convert_weights(CHECKPOINT, tmp_path / "plain"))


def test_a_component_that_the_index_leaves_out_is_not_hashed(model):
    file = model / "model_index.json"
    index = json.loads(file.read_text())
    file.write_text(json.dumps({**index, "video_dit_2": [None, None]}))
    before = weights_hash(model)
    (model / "video_dit_2" / "diffusion_pytorch_model.safetensors").write_bytes(b"")
    assert weights_hash(model) == before
    assert before != weights_hash(CHECKPOINT)


def test_the_hash_follows_the_weights(model):
    before = weights_hash(model)
    file = model / "audio_dit" / "diffusion_pytorch_model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert weights_hash(model) != before == weights_hash(CHECKPOINT)
