"""`mova enhance`, and `mova generate --enhance`."""

import json

import pytest

from mova.cli.app import main
from mova.media.write import read_metadata

SHORT = ["--size", "64x64", "--frames", "5", "--steps", "1"]


@pytest.fixture(autouse=True)
def own_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def run(*options):
    return main(list(map(str, options)))


def test_the_prompt_is_printed_and_changes_are_told(capsys):
    assert run("enhance", "an orange ball bounces on wood in the snowfall") == 0
    told = capsys.readouterr()
    assert told.out.count("\n") == 1
    assert "yellow ball" in told.out
    assert "changed: orange became yellow" in told.err
    assert "snowfall" in told.err


def test_json_holds_everything(tmp_path, capsys):
    frame = tmp_path / "first.png"
    assert run("enhance", "红球在木板上", "--json", "--first-frame", frame) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["original"] == "红球在木板上"
    assert values["first_frame"] == [128, 128]
    assert frame.exists()
    assert values["first_frame_file"] == str(frame)
    assert values["is_fallback"] is False


def test_what_cannot_be_shown_is_flagged(capsys):
    assert run("enhance", "a city at night") == 0
    told = capsys.readouterr()
    assert told.out == "a city at night\n"
    assert told.err.startswith("NOT ENHANCED")


def test_other_models_get_the_form_of_captions(capsys):
    assert run("enhance", "a dog runs", "--model", "OpenMOSS-Team/MOVA-360p") == 0
    assert "The audio shows" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["enhance", " "], "text must hold words"),
        (["enhance", "a ball", "--image", "none.png"], "must exist"),
        (["enhance", "a ball", "--image", __file__], "an image must be one of"),
        (["enhance", "a ball", "--enhance-settings", "none.yaml"], "must be a YAML file that exists"),
        (["generate", "--prompt", "a ball", "--enhance-settings", "x.yaml", "--output", "a.mp4"], "add --enhance"),
        (["generate", "--prompt", " ", "--enhance", "--output", "a.mp4"], "prompt must hold text"),
        (["generate", "--prompt", "a ball", "--enhance", "--output", "a.mp4", "--count", "0"], "count must lie"),
        (["generate", "--prompt", "a ball", "--enhance", "--output", "none/a.mp4"], "none first"),
    ],
)
def test_wrong_input_is_explained(options, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*options) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "prompt: " not in told
    assert not list(tmp_path.glob("*.png"))


def test_a_clip_records_its_enhancement_and_is_made_again_without_asking(tmp_path, capsys):
    clip = tmp_path / "a.mp4"
    assert run("generate", "--enhance", "--prompt", "a red ball bounces on wood", "--output", clip, *SHORT) == 0
    assert "prompt: " in capsys.readouterr().err
    made = read_metadata(clip)
    assert made["enhancement"]["original"] == "a red ball bounces on wood"
    assert "red ball" in made["prompt"]
    assert made["enhancement"]["provider"] == "toy world"
    assert made["enhancement"]["is_fallback"] is False
    assert made["image"]["file"] == "a.first.png"
    assert (tmp_path / "a.first.png").exists()
    assert run("generate", "--from", clip, "--output", tmp_path / "b.mp4") == 0
    assert read_metadata(tmp_path / "b.mp4") == made
    assert run("generate", "--from", clip, "--enhance", "--output", tmp_path / "c.mp4") == 2
    assert "prompt is kept as it is" in capsys.readouterr().err


def test_each_prompt_of_a_list_is_enhanced(tmp_path, capsys):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("黄球在铁板上\na city at night\n")
    options = ["--prompts", prompts, "--enhance", "--output", tmp_path / "c.mp4", "--json"]
    assert run("generate", *options, *SHORT) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert "yellow" in first["metadata"]["prompt"]
    assert first["metadata"]["image"]["file"] == "c-000.first.png"
    assert second["metadata"]["prompt"] == "a city at night"
    assert second["metadata"]["enhancement"]["is_fallback"]
    assert run("generate", *options, *SHORT) == 0, "what is there already is kept"
