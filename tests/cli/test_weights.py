"""`mova weights` from the command line."""

import json
import shutil
from pathlib import Path

import pytest

from mova.cli.app import main

CHECKPOINT = Path(__file__).parents[1] / "numerics" / "records" / "pipeline_checkpoint"


def test_inspect_prints_a_table_or_json(capsys):
    assert main(["weights", "inspect", str(CHECKPOINT)]) == 0
    assert "video_dit: WanModel\n  123 tensors (123 F32), 224,284 parameters" in capsys.readouterr().out
    assert main(["weights", "inspect", str(CHECKPOINT), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 7


def test_verify_prints_the_counts(capsys):
    assert main(["weights", "verify", str(CHECKPOINT)]) == 0
    assert "7 components, 807 tensors, all as they must be" in capsys.readouterr().out
    assert main(["weights", "verify", str(CHECKPOINT / "audio_dit"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"audio_dit": 96}


def test_verify_of_a_damaged_model_is_exit_code_2(tmp_path, capsys):
    folder = tmp_path / "model"
    shutil.copytree(CHECKPOINT, folder)
    file = folder / "video_dit" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    assert main(["weights", "verify", str(folder)]) == 2
    assert "cut short" in capsys.readouterr().err


def test_convert_prints_the_new_directory(tmp_path, capsys):
    target = tmp_path / "new"
    assert main(["weights", "convert", str(CHECKPOINT), str(target), "--dtype", "bf16", "--max-shard-size", "1MB"]) == 0
    assert capsys.readouterr().out.strip() == str(target)
    assert len(list((target / "video_vae").glob("*.safetensors"))) == 2


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["inspect", "no/such/model"], "expected a folder with model_index.json or config.json"),
        (["verify", "no/such/model"], "expected a folder with model_index.json or config.json"),
        (["convert", "no/such/model", "no/such/target"], "expected a folder with model_index.json or config.json"),
        (["verify", str(CHECKPOINT), "--manifest", "no/such/file.json"], "must hold JSON"),
        (["convert", str(CHECKPOINT), str(CHECKPOINT)], "must not exist yet"),
    ],
)
def test_wrong_input_is_exit_code_2(capsys, arguments, text):
    assert main(["weights", *arguments]) == 2
    assert text in capsys.readouterr().err
