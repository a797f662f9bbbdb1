"""Downloads from a server that answers as the hub does: resumed, checked, complete or absent."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hub_server import COMMIT, Hub, serve
from mova.errors import CheckpointError, ConfigError
from mova.weights import download as module
from mova.weights.download import RemoteFile, download, look_up, needed_files
from mova.weights.fingerprint import weights_hash
from mova.weights.rewrite import verify_weights

CHECKPOINT = Path(__file__).parents[1] / "numerics" / "records" / "pipeline_checkpoint"
LARGE = "video_vae/diffusion_pytorch_model.safetensors"
UNWANTED = {
    "demo.mp4": b"x" * 100,
    "modeling.py": b"import os",
    ".gitattributes": b"*",
    "video_dit/diffusion_pytorch_model.fp16.safetensors": b"x" * 100,
    "other/config.json": b"{}",
    "../outside": b"x",
}


@pytest.fixture
def files():
    return {str(path.relative_to(CHECKPOINT)): path.read_bytes() for path in CHECKPOINT.rglob("*") if path.is_file()}


@pytest.fixture
def hub(files, monkeypatch, tmp_path):
    served = Hub(files | UNWANTED)
    with serve(served) as endpoint:
        from huggingface_hub import constants

        for name, value in (
            ("ENDPOINT", endpoint),
            ("HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}"),
            ("HF_HUB_CACHE", str(tmp_path / "hub")),
        ):
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", endpoint)
        served.environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "home")}
        served.environment.pop("HF_HUB_OFFLINE", None)
        yield served


def start(hub, *arguments):
    command = [sys.executable, "-m", "mova.cli", "weights", "download", "owner/name", *map(str, arguments)]
    return subprocess.Popen(command, env=hub.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def names_in(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_what_a_model_needs_is_downloaded_and_nothing_else(hub, files, tmp_path):
    folder = download(look_up("owner/name"), tmp_path / "model")
    assert names_in(folder) == set(files)
    assert verify_weights(folder) == verify_weights(CHECKPOINT)
    assert not any("demo" in path or "modeling" in path or "fp16" in path for _, path, _ in hub.requests)


def test_the_cache_has_the_layout_of_the_hubs_client(hub, tmp_path):
    from huggingface_hub import snapshot_download

    folder = download(look_up("owner/name"))
    assert folder == tmp_path / "hub" / "models--owner--name" / "snapshots" / COMMIT
    assert snapshot_download("owner/name", local_files_only=True) == str(folder)
    assert weights_hash(folder) == weights_hash(CHECKPOINT)
    assert sorted(path.name for path in folder.parents[1].iterdir()) == ["blobs", "refs", "snapshots"]
    before = len(hub.requests)
    assert download(look_up("owner/name")) == folder
    assert len(hub.requests) == before + 1


def test_a_revision_is_asked_for_and_noted(hub, tmp_path):
    folder = download(look_up("owner/name", "v1"))
    assert any(path.startswith("/api/models/owner/name/revision/v1") for _, path, _ in hub.requests)
    assert (folder.parents[1] / "refs" / "v1").read_text() == COMMIT


def test_a_killed_transfer_goes_on_where_it_stopped(hub, tmp_path):
    # Larger than what the hub's client writes at once.
    hub.files["few_steps.safetensors"] = bytes(25_000_000)
    hub.stop_after = 22_000_000
    process = start(hub, "--to", tmp_path / "model")
    assert hub.stalled.wait(120)
    part = tmp_path / "model" / ".download"
    while not any(path.stat().st_size for path in part.glob("*.part")):
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = max(path.stat().st_size for path in part.glob("*.part"))
    assert not (tmp_path / "model" / "model_index.json").exists()
    hub.freed.set()
    hub.stop_after = None
    before = len(hub.requests)
    folder = download(look_up("owner/name"), tmp_path / "model")
    assert ("bytes=" + f"{kept}-") in [asked for _, _, asked in hub.requests[before:] if asked]
    assert verify_weights(folder) == verify_weights(CHECKPOINT)
    assert not (folder / ".download").exists()


@pytest.mark.parametrize("name", [LARGE, "tokenizer/tokenizer_config.json"])
def test_content_with_another_checksum_is_refused_and_removed(hub, tmp_path, name):
    hub.corrupt.add(name)
    with pytest.raises(CheckpointError, match=rf"{name} .* must have the checksum [0-9a-f]+ that the hub states"):
        download(look_up("owner/name"), tmp_path / "model")
    assert not (tmp_path / "model" / name).exists()
    assert not (tmp_path / "model" / "model_index.json").exists()
    hub.corrupt.clear()
    assert verify_weights(download(look_up("owner/name"), tmp_path / "model")) == verify_weights(CHECKPOINT)


def test_a_file_that_was_damaged_on_the_disk_is_not_taken_for_whole(hub, files):
    folder = download(look_up("owner/name"))
    blob = (folder / LARGE).resolve()
    content = bytearray(blob.read_bytes())
    content[1000] ^= 1
    blob.write_bytes(content)
    assert (download(look_up("owner/name")) / LARGE).read_bytes() == files[LARGE]


def test_too_little_room_is_said_before_anything_is_downloaded(hub, tmp_path, monkeypatch):
    usage = module.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage._replace(free=1000))  # noqa: ARG005
    with pytest.raises(ConfigError, match=r"must have 6\.4 MB of room for owner/name, got 1\.0 kB"):
        download(look_up("owner/name"), tmp_path / "model")
    assert not [path for method, path, _ in hub.requests if "resolve" in path]


def test_other_files_in_the_folder_are_not_replaced(hub, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model_index.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"must be empty or hold files of owner/name .* another model_index\.json"):
        download(look_up("owner/name"), folder)
    assert names_in(folder) == {"model_index.json"}


@pytest.mark.parametrize(
    "state",
    [{"size": None}, {"size": -1}, {"blobId": "../../x"}, {"lfs": {"size": "x", "sha256": 3, "pointerSize": 1}}],
)
def test_a_hub_that_states_no_checksum_is_refused(hub, state):
    hub.states["model_index.json"] = state
    with pytest.raises(CheckpointError, match=r"must state size and checksum|cannot be looked up"):
        look_up("owner/name")


def test_what_is_no_model_or_not_there_is_refused(hub):
    with pytest.raises(CheckpointError, match=r"owner/absent cannot be looked up"):
        look_up("owner/absent")
    with pytest.raises(CheckpointError, match="cannot be looked up"):
        look_up("not a hub id")
    del hub.files["model_index.json"]
    with pytest.raises(CheckpointError, match=r"must be a model with model_index\.json"):
        look_up("owner/name")


def test_shards_are_needed_where_there_is_an_index():
    stem = "video_dit/diffusion_pytorch_model"
    shards = [f"{stem}-0000{number}-of-00002.safetensors" for number in (1, 2)]
    assert set(needed_files([*shards, f"{stem}.safetensors"])) == {f"{stem}.safetensors"}
    index = f"{stem}.safetensors.index.json"
    assert set(needed_files([*shards, f"{stem}.safetensors", index])) == {*shards, index}
    assert needed_files(["model_index.json", "README.md"]) == ["README.md", "model_index.json"]


def test_the_command_shows_the_size_first_and_prints_the_folder(hub, files, tmp_path):
    facts = f"{len(files)} files, 6.4 MB"
    planned = start(hub, "--dry-run")
    output, errors = planned.communicate()
    assert planned.returncode == 0, errors
    assert output.splitlines()[-1] == f"owner/name at {COMMIT}: {facts}"
    done = start(hub, "--to", tmp_path / "model")
    output, errors = done.communicate()
    assert (done.returncode, output) == (0, f"{tmp_path / 'model'}\n"), errors
    assert f"{facts}; 6.4 MB to download" in errors
    refused = start(hub, "--revision", "v9")
    output, errors = refused.communicate()
    assert refused.returncode == 2
    assert "Traceback" not in errors


def test_a_file_is_described_by_name_size_and_checksum(hub, files):
    model = look_up("owner/name")
    assert model.files[-1].name == "model_index.json"
    assert model.size_bytes == sum(map(len, files.values()))
    assert {len(file.checksum) for file in model.files} == {40, 64}
    assert all(isinstance(file, RemoteFile) for file in model.files)
