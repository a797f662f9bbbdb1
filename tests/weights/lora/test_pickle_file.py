"""Pickled LoRAs: those of the official trainers are read, everything else in a pickle is refused and never run."""

import io
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mova.cli.app import main
from mova.errors import CheckpointError
from mova.weights.lora.pickle_file import read_pickled_lora

Q = "blocks.0.self_attn.q"


def matrices(ending="", component="video_dit", dtype=torch.bfloat16, rank=4):
    torch.manual_seed(0)
    return {
        f"{component}.{Q}.lora_A{ending}": torch.randn(rank, 6).to(dtype),
        f"{component}.{Q}.lora_B{ending}": torch.randn(8, rank).to(dtype),
    }


@pytest.mark.parametrize("ending", [".weight", ".default.weight"])
@pytest.mark.parametrize(
    ("config", "alpha"),
    [
        (None, 4),
        ({"rank": "MOVATrain", "alpha": 16.0, "target_modules": []}, 4),
        ({"rank": 16, "alpha": 16.0, "target_modules": ["q"]}, 4),
        ({"rank": 4, "alpha": 8.0, "target_modules": []}, 8),
    ],
)
def test_the_accelerate_trainers_file_is_read_with_the_alpha_that_it_truly_says(tmp_path, ending, config, alpha):
    tensors = matrices(ending)
    torch.save(tensors, tmp_path / "lora_weights.pt")
    if config:
        torch.save(config, tmp_path / "lora_config.pt")
    for path in (tmp_path, tmp_path / "lora_weights.pt"):
        layer = read_pickled_lora(path).layers["video_dit"][Q]
        down, up = tensors.values()
        assert torch.equal(layer.update(), (alpha / 4) * (up.float() @ down.float()))


def test_the_low_resource_trainers_file_is_read(tmp_path):
    tensors = matrices() | matrices(component="dual_tower_bridge")
    content = {"lora_state_dict": tensors, "rank": 4, "alpha": 2.0, "dropout": 0.0, "target_modules": ["q"]}
    torch.save(content, tmp_path / "lora_weights.pt")
    lora = read_pickled_lora(tmp_path / "lora_weights.pt")
    assert (lora.style, set(lora.layers)) == ("low_resource", {"video_dit", "dual_tower_bridge"})
    assert lora.layers["video_dit"][Q].alpha == 2


@pytest.mark.parametrize("name", ["lora.pt", "lora.pth", "lora.ckpt", "lora.bin"])
def test_the_command_that_the_error_names_converts_it(tmp_path, capsys, name):
    torch.save({"state_dict": matrices(".weight")}, tmp_path / name)
    assert main(["weights", "inspect", str(tmp_path / name)]) == 2
    command = capsys.readouterr().err.strip().rpartition("mova ")[2].split()
    assert main(command) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'lora.safetensors'}\n"
    stored = load_file(tmp_path / "lora.safetensors")
    for key, value in matrices(".weight").items():
        assert torch.equal(stored[key], value)
    assert main(["weights", "inspect", str(tmp_path / "lora.safetensors")]) == 0


class Runs:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "made",
    [
        Runs(os.system, "touch ran"),
        Runs(eval, "open('ran', 'w')"),
        Runs(bytearray, 10**12),
        Runs(subprocess.Popen, ["touch", "ran"]),
    ],
    ids=["system", "eval", "memory", "process"],
)
@pytest.mark.parametrize("archive", [True, False])
def test_a_hostile_pickle_is_refused_and_does_not_run(tmp_path, monkeypatch, capsys, made, archive):
    monkeypatch.chdir(tmp_path)
    if archive:
        torch.save({"a.lora_A.weight": made}, "lora.pt")
    else:
        Path("lora.pt").write_bytes(pickle.dumps({"a.lora_A.weight": made}))
    assert main(["weights", "convert", "lora.pt", "lora.safetensors"]) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert ("nothing of it was run" in error) is archive
    assert [path.name for path in tmp_path.iterdir()] == ["lora.pt"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([1], "must hold a dictionary of tensors, got list"),
        ({"a.lora_A.weight": 1.0}, "must hold tensors by name and nothing else, got float as 'a.lora_A.weight'"),
        ({1: torch.ones(2)}, "must hold tensors by name"),
        ({"video_dit.q.weight": torch.ones(2)}, "must hold adapters"),
        ({"x.lora_A.weight": torch.zeros(1).expand(10**6, 10**6)}, "must hold every number of 'x.lora_A.weight'"),
        ({"lora_state_dict": matrices(), "rank": "four", "alpha": 1}, "r must be a whole number, got 'four'"),
        ({"lora_state_dict": matrices(), "rank": 4, "alpha": [1]}, "lora_alpha must be a finite number"),
        ({"lora_state_dict": {"a.lora_A": torch.ones(2, 2, dtype=torch.int32)}}, "missing"),
    ],
)
def test_other_content_is_refused(tmp_path, content, text):
    torch.save(content, tmp_path / "lora.pt")
    with pytest.raises(CheckpointError, match=text):
        read_pickled_lora(tmp_path / "lora.pt")


def test_compressed_records_are_refused_before_they_are_read(tmp_path):
    stream = io.BytesIO()
    torch.save(matrices(".weight"), stream)
    with zipfile.ZipFile(stream) as source, zipfile.ZipFile(tmp_path / "lora.pt", "w", zipfile.ZIP_DEFLATED) as target:
        for one in source.infolist():
            target.writestr(one.filename, source.read(one))
    with pytest.raises(CheckpointError, match="none of them compressed"):
        read_pickled_lora(tmp_path / "lora.pt")


def test_damaged_files_of_every_kind_are_refused(tmp_path):
    """Cut short or with changed bytes: 60 files, seed 0."""
    stream = io.BytesIO()
    torch.save(matrices(".weight"), stream)
    whole = stream.getvalue()
    generator = torch.Generator().manual_seed(0)
    for _ in range(60):
        place, byte = (int(torch.randint(0, most, (1,), generator=generator)) for most in (len(whole), 256))
        for damaged in (whole[:place], whole[:place] + bytes([byte]) + whole[place + 1 :]):
            (tmp_path / "lora.pt").write_bytes(damaged)
            try:
                read_pickled_lora(tmp_path / "lora.pt")
            except CheckpointError as error:
                assert str(tmp_path) in str(error)  # noqa: PT017 - a changed byte may also do no harm


def test_nothing_of_a_pickle_is_imported(tmp_path):
    torch.save({"a.lora_A.weight": Runs(print, "x")}, tmp_path / "lora.pt")
    code = (
        f"from mova.cli.app import main; raise SystemExit(main(['weights', 'inspect', {str(tmp_path / 'lora.pt')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
