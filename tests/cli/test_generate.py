"""`mova generate` as a user meets it: options, output, exit codes, interruption. The clip itself: tests/journeys."""

import json
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

from generate_kit import CHECKPOINT, SHORT, generate, start
from mova.cli.app import main
from mova.settings.speed import SPEEDS, Speed

FLAGS = [
    "--keyframe",
    "--retake",
    "--only",
    "--fit",
    "--prompt",
    "--enhance",
    "--enhance-settings",
    "--prompts",
    "--count",
    "--index",
    "--from",
    "--start",
    "--image",
    "--last-image",
    "--audio",
    "--video",
    "--model",
    "--negative-prompt",
    "--seed",
    "--steps",
    "--guidance-scale",
    "--retries",
    "--extend",
    "--length",
    "--overlap",
    "--windows",
    "--prompt-at",
    "--speed",
    "--modality-scale",
    "--audio-guidance-scale",
    "--audio-modality-scale",
    "--video-shift",
    "--audio-shift",
    "--hold-noise",
    "--frames",
    "--size",
    "--fps",
    "--output",
    "--json",
    "--sampler",
    "--null-image",
    "--lora",
    "--memory",
    "--quantize",
    "--attention",
    "--compile",
    "--no-compile",
    "--kernels",
    "--precision",
    "--gpus",
    "--layout",
    "--shard-weights",
]


def test_help_lists_the_agreed_flags_and_no_others(capsys):
    assert main(["generate", "--help"]) == 0
    words = capsys.readouterr().out.replace("[", " ").replace("]", " ").split()
    assert {word for word in words if word.startswith("--")} == {*FLAGS, "--help"}


def test_path_goes_to_stdout_and_the_closing_line_to_stderr(tmp_path, capsys):
    assert generate(tmp_path / "a.mp4") == 0
    shown = capsys.readouterr()
    assert shown.out == f"{tmp_path / 'a.mp4'}\n"
    assert "9 frames of 48x32 (0.38 s) with audio in" in shown.err


def test_kernels_that_there_are_not_are_refused_with_the_nearest(tmp_path, capsys):
    assert generate(tmp_path / "a.mp4", "--kernels", "nonsense") == 2
    assert "error: kernels must be auto or plain, got 'nonsense'; nearest is auto" in capsys.readouterr().err
    assert not (tmp_path / "a.mp4").exists()


def test_a_quicker_clip_says_what_was_left_out(tmp_path, capsys):
    assert generate(tmp_path / "a.mp4", "--speed", "fast") == 0
    assert "fast: half of the steps" in capsys.readouterr().err
    assert generate(tmp_path / "b.mp4") == 0
    assert "exact" not in capsys.readouterr().err


@pytest.mark.parametrize("memory", ["resident", "phases", "stream", "disk"])
def test_a_clip_can_be_made_wherever_the_weights_rest(tmp_path, memory):
    assert generate(tmp_path / "a.mp4", "--memory", memory) == 0
    assert (tmp_path / "a.mp4").is_file()


def test_the_closing_line_counts_what_was_spared(tmp_path, capsys, monkeypatch):
    assert generate(tmp_path / "a.mp4", "--steps", "4") == 0
    assert "; 8 predictions\n" in capsys.readouterr().err
    # Each of two experts has two steps, and is guided at the first.
    monkeypatch.setitem(SPEEDS, "fast", Speed(words="guided once", adaptive_guidance=1.0))
    assert generate(tmp_path / "b.mp4", "--steps", "4", "--speed", "fast") == 0
    assert "; 6 predictions of 8 planned\n" in capsys.readouterr().err


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
    settings = record["metadata"]["settings"]
    assert (settings["sampler"], settings["guidance_scale"], record["metadata"]["seed"]) == ("unipc", 2.0, 3)
    assert record["metadata"]["image"]["file"] == "first.png"
    assert (record["num_frames"], record["width"], record["height"]) == (9, 48, 32)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--size", "50x32"], "width must be a positive multiple of 16, got 50; nearest are 48 and 64"),
        (["--memory", "small"], "memory must be one of auto, resident, phases, stream, disk; got 'small'; nearest is"),
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
        (["--keyframe", "middle.png"], "keyframe must be TIME=IMAGE, seconds and a file, got 'middle.png'; such as"),
        (["--keyframe", "0.2=missing.png"], "keyframe at 0.2 s must be a file that exists, got missing.png"),
        (["--retake", "0.1:0.2"], "retake must be A-B, A-B:video or A-B:audio in seconds, got '0.1:0.2'; such as"),
        (["--retake", "0.1-0.2"], "retake is for a clip that is given, got 0.1-0.2 without video"),
        (["--only", "smell"], "only must be one of video, audio; got 'smell'; nearest is video"),
        (["--fit", "shrink"], "fit must be one of crop, pad, stretch; got 'shrink'; nearest is"),
        (["--lora", "none.safetensors:0.5"], "lora must be a file that exists, got none.safetensors; write FILE"),
        (["--lora", "/dev/stdin:nan"], "got"),
        (["--lora", ":0.5"], "a LoRA must read FILE or FILE:SCALE"),
        (["--model", "no-such-model"], "got no-such-model"),
        (["--gpus", "0"], "gpus must be 1 or more, got 0; nearest is 1"),
        (["--gpus", "2", "--layout", "2x1"], "layout must name branches, ring, ulysses at most once each, got '2x1'"),
        (["--layout", "ring=2"], "layout branches=1,ring=2,ulysses=1 is for 2 processes, got gpus 1"),
        (["--shard-weights"], "shard_weights needs several processes to share the weights, got gpus 1"),
        (["--output", "missing/a.mp4"], "output must lie in a directory that exists"),
        (["--output", "a.avi"], "output must end in .mp4"),
        (["--output", "/proc/a.mp4"], "output must lie in a directory that can be written"),
    ],
    ids=str,
)
def test_wrong_input_is_explained_with_exit_code_2(tmp_path, capsys, monkeypatch, options, text):
    from mova.pipeline import load

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
    assert [(entry["file"], entry["scale"]) for entry in record["metadata"]["loras"]] == [
        ("style.safetensors", 2.5),
        ("style.safetensors", 1.0),
    ]
    assert (tmp_path / "plain.mp4").read_bytes() != (tmp_path / "adapted.mp4").read_bytes()


def test_a_folder_of_peft_is_a_lora_and_a_pickled_one_is_refused_with_the_way_out(tmp_path, capsys):
    width = json.loads((CHECKPOINT / "video_dit" / "config.json").read_text())["dim"]
    folder = tmp_path / "style"
    folder.mkdir()
    adapter_file(folder / "adapter_model.safetensors", width=width)
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 1, "lora_alpha": 2}')
    assert generate(tmp_path / "a.mp4", "--lora", f"{folder}:0.5", "--json") == 0
    (entry,) = json.loads(capsys.readouterr().out)["metadata"]["loras"]
    assert (entry["file"], entry["scale"]) == ("style", 0.5)
    (tmp_path / "lora.pt").write_bytes(b"\x80\x04.")
    assert generate(tmp_path / "b.mp4", "--lora", str(tmp_path / "lora.pt")) == 2
    assert "Convert it safely with: mova weights convert" in capsys.readouterr().err
    assert not (tmp_path / "b.mp4").exists()


def test_a_lora_that_does_not_fit_is_explained_before_sampling(tmp_path, capsys, monkeypatch):
    from mova.pipeline.loading import model

    monkeypatch.setattr(model, "load_component", lambda *_, **__: pytest.fail("weights were read"))
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
import mova.cli.terminal.progress as command
from mova.cli.app import main
from mova.media.read import read_clip

show = command.StageBar.show

def interrupt(bar, stage, done, total):
    show(bar, stage, done, total)
    if (stage, done) == ("sampling", 2):
        signal.raise_signal(signal.SIGINT)

command.StageBar.show = interrupt
sys.exit(main())
"""
    process = start("--output", tmp_path / "a.mp4", "--steps", "1000", program=["-c", code])
    _, log = process.communicate(timeout=300)
    assert process.returncode == 130, log
    assert "interrupted" in log
    assert "Traceback" not in log
    assert list(tmp_path.iterdir()) == []


def test_full_disk_leaves_no_file_and_exit_code_2(tmp_path):
    def limit_file_size():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    # Without byte code: under such a limit Python would keep a part of it, which every later process would read.
    process = start("--output", tmp_path / "a.mp4", program=["-B", "-m", "mova.cli"], preexec_fn=limit_file_size)
    _, log = process.communicate(timeout=300)
    assert process.returncode == 2, log
    assert "nothing was kept" in log
    assert list(tmp_path.iterdir()) == []


def test_a_long_clip_is_made_again_from_its_file(checkpoint, tmp_path, capsys):
    options = ["--size", "48x32", "--frames", "13", "--steps", "2", "--guidance-scale", "1", "--retries", "0"]
    common = ["generate", "--model", str(checkpoint), "--output"]
    first, second = str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4")
    long = ["--length", "1", "--overlap", "0.2", "--prompt-at", "0.7=a cat"]
    assert main([*common, first, "--prompt", "a dog", *options, *long]) == 0
    assert main([*common, second, "--from", first]) == 0
    assert Path(first).read_bytes() == Path(second).read_bytes()
    assert "3 windows of 13 frames that overlap by 5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--overlap", "1"], "overlap, windows and prompt-at are for a clip of several windows"),
        (["--length", "5", "--windows", "slide"], "windows must be one of continue, joint; got 'slide'"),
        (["--length", "5", "--gpus", "2"], "a long clip is made by one process, got 2; leave out --gpus"),
        (["--extend", "none.mp4"], "extend must be a file that exists, got none.mp4"),
    ],
)
def test_long_clips_that_cannot_be_are_explained_with_exit_code_2(checkpoint, tmp_path, capsys, options, text):
    output = str(tmp_path / "a.mp4")
    assert main(["generate", "--model", str(checkpoint), "--prompt", "a dog", "--output", output, *options]) == 2
    assert text in capsys.readouterr().err
