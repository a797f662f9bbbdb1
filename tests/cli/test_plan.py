"""`mova plan` from the command line."""

import json
import subprocess
import sys

import pytest

from mova.cli.app import main


def test_the_published_model_is_planned_by_name(capsys):
    assert main(["plan", "--model", "mova-360p", "--size", "640x352", "--frames", "193", "--gpu", "h100"]) == 0
    printed = capsys.readouterr()
    assert "43,120 tokens" in printed.out
    assert "h100 (80 GB)" in printed.out
    assert "a100" not in printed.out


def test_what_is_not_given_is_what_the_model_recommends(capsys):
    assert main(["plan", "--model", "mova-720p", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["video_tokens"] == 176_400
    assert record["steps"] == 50
    assert record["calls_per_step"] == {"with_bridge": 2, "without_bridge": 0}


def test_every_option_takes_effect(capsys):
    def total(*options):
        assert main(["plan", "--model", "mova-360p", "--json", *options]) == 0
        return json.loads(capsys.readouterr().out)["total_operations"]

    usual = total()
    assert total("--steps", "25") * 2 == usual
    assert total("--guidance-scale", "1") * 2 == usual
    assert total("--modality-scale", "3.5") > usual
    assert total("--frames", "97") < usual
    assert total("--size", "320x176") < usual
    assert total("--speed", "fast") * 2 == usual
    assert total("--speed", "fast", "--steps", "50") == usual
    assert total("--fps", "12") > usual  # the same frames last longer, so there is more sound


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--size", "640x360"], "height must be a positive multiple of 16, got 360; nearest are 352 and 368"),
        (["--frames", "192"], "frames must be 1 plus a multiple of 4, got 192; nearest are 189 and 193"),
        (["--steps", "0"], "steps must"),
        (["--gpu", "abacus"], "gpu must be one of"),
        (["--gpu-memory", "0"], "gpu_memory must be more than 0"),
        (["--gpus", "0"], "gpus must be 1 to 4096, got 0; nearest is 1"),
        (["--speed", "quick"], "speed must be one of exact, fast"),
        (["--speed", "distilled"], "nearest is fastest"),
        (["--fps", "0"], "frame rate must be a positive number"),
        (["--guidance-scale", "-2"], "guidance_scale must be finite and 0 or more"),
        (
            ["--model", "mova-99p"],
            "mova-360p, mova-720p or a model directory on this disk, got 'mova-99p'; nearest is",
        ),
    ],
)
def test_wrong_input_is_exit_code_2_with_rule_and_value(capsys, options, text):
    assert main(["plan", "--model", "mova-360p", *options]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert text in printed.err


def test_a_plan_never_imports_torch():
    code = (
        "import sys; from mova.cli.app import main; "
        "assert main(['plan', '--model', 'mova-360p']) == 0; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_memory_number_of_gpus_and_speed_reach_the_plan(capsys):
    options = ["--model", "MOVA-360p", "--gpu-memory", "24", "--gpus", "2", "--speed", "fastest", "--json"]
    assert main(["plan", *options]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["steps"], record["gpus"], record["speed"]) == (13, 2, "fastest")
    assert "any GPU with 24 GB" in record["fits"]


def test_the_adapters_of_a_model_say_what_distilled_means(capsys):
    assert main(["plan", "--model", "mova-tiny", "--speed", "distilled", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["steps"] == 4
    assert record["calls_per_step"] == {"with_bridge": 1, "without_bridge": 0}
