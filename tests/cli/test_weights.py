"""`mova weights` from the command line."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import mova
from mova.cli.app import main

CHECKPOINT = Path(__file__).parents[1] / "numerics" / "records" / "pipeline_checkpoint"
CONDITIONS = Path(mova.__file__).parent / "assets" / "loras" / "mova-tiny_conditions.safetensors"


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


def test_convert_says_how_far_quantized_weights_are_off(tmp_path, capsys):
    target = tmp_path / "new"
    assert main(["weights", "convert", str(CHECKPOINT), str(target), "--quantize", "float8", "--json"]) == 0
    printed = capsys.readouterr()
    made = json.loads(printed.out)
    assert made["path"] == str(target)
    assert set(made["quantization"]) == {"video_dit", "video_dit_2", "audio_dit", "dual_tower_bridge"}
    report = made["quantization"]["audio_dit"]
    assert (len(report["errors"]), report["quant_method"]) == (30, "float8")
    line = f"audio_dit in float8: {report['bytes_before']:,} -> {report['bytes_after']:,} bytes; 30 weights, relative"
    assert line in printed.err
    assert main(["weights", "inspect", str(target)]) == 0
    assert "audio_dit: WanAudioModel, large weights in float8\n" in capsys.readouterr().out
    assert main(["weights", "verify", str(target)]) == 0


@pytest.fixture
def lora(tmp_path):
    file = tmp_path / "wan.safetensors"
    key = "diffusion_model.blocks.0.self_attn.q"
    tensors = {f"{key}.lora_down.weight": (2, 4), f"{key}.lora_up.weight": (6, 2), f"{key}.alpha": ()}
    save_file({name: np.ones(shape, np.float32) for name, shape in tensors.items()}, file)
    return file


def test_inspect_describes_a_lora(lora, capsys):
    assert main(["weights", "inspect", str(lora)]) == 0
    shown = capsys.readouterr().out
    assert "wan.safetensors: LoRA with comfyui keys, trained on an unnamed base" in shown
    assert "component not named: 1 layers, rank 2, alpha 1, 20 parameters\n    self_attn.q" in shown
    assert main(["weights", "inspect", str(lora), "--json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert (report["style"], report["components"][""]["ranks"]) == ("comfyui", [2])


def test_convert_writes_a_lora_in_another_style(lora, tmp_path, capsys):
    target = tmp_path / "ours.safetensors"
    options = ["--lora-format", "mova", "--component", "video_dit", "--component", "video_dit_2"]
    assert main(["weights", "convert", str(lora), str(target), *options]) == 0
    assert capsys.readouterr().out == f"{target}\n"
    assert main(["weights", "convert", str(target), str(tmp_path / "x.safetensors"), "--lora-format", "diffsynth"]) == 0
    assert [Path(line).name for line in capsys.readouterr().out.splitlines()] == [
        "x_video_dit.safetensors",
        "x_video_dit_2.safetensors",
    ]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--lora-format", "mova"], "name no component; say which: --component"),
        (["--lora-format", "kohya"], "must be one of mova, diffsynth, comfyui; got 'kohya'"),
        (["--lora-format", "mova", "--dtype", "bf16"], "--dtype is for a model directory, not for a LoRA"),
        (["--lora-format", "mova", "--quantize", "int8"], "--quantize is for a model directory, not for a LoRA"),
        (["--component", "text_encoder"], "component must be one of video_dit"),
    ],
)
def test_a_lora_that_cannot_be_converted_is_exit_code_2(lora, tmp_path, capsys, options, text):
    assert main(["weights", "convert", str(lora), str(tmp_path / "x.safetensors"), *options]) == 2
    assert text in capsys.readouterr().err
    assert not (tmp_path / "x.safetensors").exists()


def test_ranks_that_each_layer_has_for_itself_are_told_by_their_ends(capsys):
    """The shipped LoRA has as many ranks as layers: nobody reads them all."""
    assert main(["weights", "inspect", str(CONDITIONS)]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"video_dit: \d+ layers, rank \d+ to \d+, alpha \S+ to \S+, \d+ whole differences", shown)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["inspect", "no/such/model"], "expected a folder with model_index.json or config.json"),
        (["verify", "no/such/model"], "expected a folder with model_index.json or config.json"),
        (["convert", "no/such/model", "no/such/target"], "expected a folder with model_index.json or config.json"),
        (["verify", str(CHECKPOINT), "--manifest", "no/such/file.json"], "must exist, and does not"),
        (["convert", str(CHECKPOINT), str(CHECKPOINT)], "must not exist yet"),
    ],
)
def test_wrong_input_is_exit_code_2(capsys, arguments, text):
    assert main(["weights", *arguments]) == 2
    assert text in capsys.readouterr().err
