"""`mova generate` as a user meets it: options, output, exit codes, interruption. The clip itself: tests/journeys."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from mova.cli.app import main

CHECKPOINT = Path(__file__).parents[1] / "numerics" / "records" / "pipeline_checkpoint"
SHORT = ["--model", str(CHECKPOINT), "--size", "48x32", "--frames", "9", "--steps", "2"]
FLAGS = [
    "--prompt",
    "--image",
    "--last-image",
    "--audio",
    "--video",
    "--model",
    "--negative-prompt",
    "--seed",
    "--steps",
    "--guidance-scale",
    "--speed",
    "--modality-scale",
    "--audio-guidance-scale",
    "--audio-modality-scale",
    "--video-shift",
    "--audio-shift",
    "--frames",
    "--size",
    "--fps",
    "--output",
    "--json",
    "--sampler",
    "--null-image",
    "--lora",
]


def generate(output, *options):
    return main(["generate", "--prompt", "a dog", "--output", str(output), *SHORT, *options])


def start(*arguments, program=("-m", "mova.cli"), **options):
    return subprocess.Popen(
        [sys.executable, *program, "generate", "--prompt", "a dog", *SHORT, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        **options,
    )


def test_help_lists_the_agreed_flags_and_no_others(capsys):
    assert main(["generate", "--help"]) == 0
    words = capsys.readouterr().out.replace("[", " ").replace("]", " ").split()
    assert {word for word in words if word.startswith("--")} == {*FLAGS, "--help"}


def test_path_goes_to_stdout_and_the_closing_line_to_stderr(tmp_path, capsys):
    assert generate(tmp_path / "a.mp4") == 0
    shown = capsys.readouterr()
    assert shown.out == f"{tmp_path / 'a.mp4'}\n"
    assert "9 frames of 48x32 (0.38 s) with sound in" in shown.err


def test_json_tells_how_the_clip_was_made(tmp_path, capsys):
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "first.png")
    options = [
        "--seed",
        "3",
        "--sampler",
        "unipc",
        "--image",
        str(tmp_path / "first.png"),
        "--guidance-scale",
        "2",
        "--json",
    ]
    assert generate(tmp_path / "a.mp4", *options) == 0
    record = json.loads(capsys.readouterr().out)
    settings = json.loads(record["metadata"]["settings"])
    assert (settings["sampler"], settings["guidance_scale"], record["metadata"]["seed"]) == ("unipc", 2.0, "3")
    assert record["metadata"]["image"] == "first.png"
    assert (record["num_frames"], record["width"], record["height"]) == (9, 48, 32)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--size", "50x32"], "width must be a positive multiple of 16, got 50; nearest are 48 and 64"),
        (["--size", "large"], "size must read WIDTHxHEIGHT"),
        (["--frames", "10"], "frames must be 1 plus a multiple of 4, got 10; nearest are 9 and 13"),
        (["--steps", "-1"], "steps must lie between 1 and 1000, got -1; nearest is 1"),
        (["--steps", "5000"], "got 5000; nearest is 1000"),
        (["--fps", "0"], "frame rate must be a positive number"),
        (["--sampler", "eular"], "sampler must be one of euler, unipc; got 'eular'; nearest is euler"),
        (["--null-image", "black"], "null_image must be one of white, none; got 'black'"),
        (["--guidance-scale", "nan"], "guidance_scale must be finite and 0 or more, got nan"),
        (["--video-shift", "0"], "video_shift must be positive"),
        (["--seed", "-4"], "seed must be a whole number of 0 or more, got -4; nearest is 0"),
        (["--prompt", " "], "prompt must hold text"),
        (["--image", "missing.png"], "image must be a file that exists, got missing.png"),
        (["--lora", "none.safetensors:0.5"], "lora must be a file that exists, got none.safetensors; write FILE"),
        (["--lora", "/dev/stdin:nan"], "got"),
        (["--lora", ":0.5"], "a LoRA must read FILE or FILE:SCALE"),
        (["--model", "no-such-model"], "got no-such-model"),
        (["--output", "missing/a.mp4"], "output must lie in a directory that exists"),
        (["--output", "a.avi"], "output must end in .mp4"),
        (["--output", "/proc/a.mp4"], "output must lie in a directory that can be written"),
    ],
    ids=str,
)
def test_wrong_input_is_explained_with_exit_code_2(tmp_path, capsys, monkeypatch, options, text):
    from mova.generate import load

    def refuse(*_, **__):
        raise AssertionError("weights were loaded before everything was checked")

    monkeypatch.setattr(load, "load_pipeline", refuse)
    monkeypatch.chdir(tmp_path)
    assert generate("a.mp4", *options) == 2
    shown = capsys.readouterr()
    assert text in shown.err
    assert shown.out == ""
    assert list(tmp_path.iterdir()) == []


def test_undecodable_image_is_explained_with_exit_code_2(tmp_path, capsys):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG but no more")
    assert generate(tmp_path / "a.mp4", "--image", str(broken)) == 2
    assert "broken.png" in capsys.readouterr().err
    assert not (tmp_path / "a.mp4").exists()


@pytest.mark.parametrize("component", ["audio_vae", "video_dit_2"])
def test_damaged_weights_are_explained_with_exit_code_2(tmp_path, capsys, component):
    folder = tmp_path / "model"
    shutil.copytree(CHECKPOINT, folder)
    file = folder / component / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    assert generate(tmp_path / "a.mp4", "--model", str(folder)) == 2
    assert component in capsys.readouterr().err
    assert not (tmp_path / "a.mp4").exists()


def adapter_file(path, layer="blocks.0.self_attn.q", width=24):
    down, up = np.full((1, width), 0.1, np.float32), np.full((width, 1), 0.1, np.float32)
    save_file({f"video_dit.{layer}.lora_A.weight": down, f"video_dit.{layer}.lora_B.weight": up}, path)
    return path


def test_loras_change_the_clip_and_are_named_in_it(tmp_path, capsys):
    width = json.loads((CHECKPOINT / "video_dit" / "config.json").read_text())["dim"]
    file = adapter_file(tmp_path / "style.safetensors", width=width)
    for name, options in (("plain", []), ("adapted", ["--lora", f"{file}:2.5", "--lora", str(file)])):
        assert generate(tmp_path / f"{name}.mp4", *options, "--json") == 0
    record = json.loads(capsys.readouterr().out.splitlines()[1])
    assert [(entry["file"], entry["scale"]) for entry in json.loads(record["metadata"]["loras"])] == [
        ("style.safetensors", 2.5),
        ("style.safetensors", 1.0),
    ]
    assert (tmp_path / "plain.mp4").read_bytes() != (tmp_path / "adapted.mp4").read_bytes()


def test_a_lora_that_does_not_fit_is_explained_before_sampling(tmp_path, capsys, monkeypatch):
    from mova.generate import load

    monkeypatch.setattr(load, "load_component", lambda *_, **__: pytest.fail("weights were read"))
    file = adapter_file(tmp_path / "style.safetensors", "blocks.99.self_attn.q")
    assert generate(tmp_path / "a.mp4", "--lora", str(file)) == 2
    shown = capsys.readouterr().err
    assert "style.safetensors must fit the model, got 1 unmatched, 0 mis-shaped of 1" in shown
    assert "video_dit.blocks.99.self_attn.q: the model has no such layer" in shown
    assert not (tmp_path / "a.mp4").exists()


def test_wrong_values_are_found_without_loading_torch(tmp_path):
    code = (
        "import sys; from mova.cli.app import main; "
        f"options = ['--output', 'a.mp4', '--model', {str(CHECKPOINT)!r}, '--size', '50x32']; "
        "code = main(['generate', '--prompt', 'x', *options]); "
        "sys.exit(code if 'torch' not in sys.modules else 99)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False, capture_output=True).returncode == 2


def test_long_prompt_says_what_was_cut(tmp_path, capsys):
    assert main(["generate", "--output", str(tmp_path / "a.mp4"), *SHORT, "--prompt", "a dog " * 400 + "boat"]) == 0
    assert "the model reads 512; this end of it has no effect" in capsys.readouterr().err


def test_interruption_while_sampling_leaves_no_file_and_exit_code_130(tmp_path):
    code = """
import signal, sys
import mova.cli.generate as command
from mova.cli.app import main

show = command._Bar.show

def interrupt(bar, stage, done, total):
    show(bar, stage, done, total)
    if (stage, done) == ("sampling", 2):
        signal.raise_signal(signal.SIGINT)

command._Bar.show = interrupt
sys.exit(main())
"""
    process = start("--output", tmp_path / "a.mp4", "--steps", "1000", program=["-c", code])
    _, log = process.communicate(timeout=120)
    assert process.returncode == 130, log
    assert "interrupted" in log
    assert "Traceback" not in log
    assert list(tmp_path.iterdir()) == []


def test_full_disk_leaves_no_file_and_exit_code_2(tmp_path):
    def limit_file_size():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    process = start("--output", tmp_path / "a.mp4", preexec_fn=limit_file_size)
    _, log = process.communicate(timeout=120)
    assert process.returncode == 2, log
    assert "nothing was kept" in log
    assert list(tmp_path.iterdir()) == []
