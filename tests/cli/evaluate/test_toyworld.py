"""`mova evaluate` from the command line, on a model of random weights."""

import contextlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from mova.cli.app import main
from mova.cli.evaluate.toyworld import Given, _load
from mova.evaluate import subject
from mova.evaluate.given import GIVEN
from mova.media.read import read_clip
from mova.settings.sampling import GivenSettings
from mova.toyworld import render, sample_scene
from mova.toyworld.caption import caption
from mova.weights.locate import ModelDefaults, write_defaults

CHECKPOINT = Path(__file__).parents[2] / "numerics" / "records" / "pipeline_checkpoint"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate") / "model"
    shutil.copytree(CHECKPOINT, folder)
    write_defaults(folder, ModelDefaults(height=64, width=64, num_frames=9, num_inference_steps=1, guidance_scale=1.0))
    return str(folder)


@pytest.fixture(scope="module")
def reported(model, tmp_path_factory):
    """A report of two clips, and what was printed."""
    report = tmp_path_factory.mktemp("report") / "new" / "report"
    options = ["--model", model, "--clips", "2", "--seed", "3", "--steps", "2", "--report", str(report)]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main(["evaluate", "toyworld", *options]) == 0
    return report, options, printed.getvalue()


def test_a_table_and_a_report_are_written(reported):
    report, _, table = reported
    assert "| all (2 clips) | ball (1) | mallet (1) |" in table
    assert "ceiling |" in table
    assert table.strip() in (report / "report.md").read_text()
    document = json.loads((report / "report.json").read_text())
    assert document["num_clips"] == len(document["clips"]) == 2
    assert document["ceiling"] is not None


def test_a_report_says_how_its_clips_were_made_and_keeps_them(reported):
    report = reported[0]
    run = json.loads((report / "report.json").read_text())["run"]
    assert run["seed"] == 3
    assert len(run["weights_sha256"]) == 64
    assert {"model", "settings", "command", "date", "speed", "device"} <= set(run)
    assert {"python", "torch", "mova"} <= set(run["versions"])
    clips = sorted((report / "clips").glob("*.mp4"))
    assert [clip.name for clip in clips] == ["0000_ball.mp4", "0001_mallet.mp4"]
    assert read_clip(clips[0]).frames.shape == (9, 64, 64, 3)


def test_an_interrupted_report_goes_on_with_the_clips_that_it_has(reported, tmp_path, capsys, monkeypatch):
    report, options, table = reported
    folder = tmp_path / "report"
    shutil.copytree(report, folder)
    for path in (folder / "report.json", folder / "report.md", *(folder / "clips").glob("0001*")):
        path.unlink()
    made = []
    generate = subject.generate
    monkeypatch.setattr(subject, "generate", lambda *args: made.append(1) or generate(*args))
    assert main(["evaluate", "toyworld", *options[:-1], str(folder)]) == 0
    assert capsys.readouterr().out == table
    assert len(made) == 1
    figures = [json.loads((place / "report.json").read_text())["overall"] for place in (report, folder)]
    assert figures[0] == figures[1]


def test_a_report_of_other_settings_is_refused(reported, capsys):
    _, options, _ = reported
    assert main(["evaluate", "toyworld", *options, "--steps", "1"]) == 2
    assert "report must be a new folder or that of the same run" in capsys.readouterr().err


def test_a_lora_a_speed_and_a_size_reach_the_clips(model, tmp_path, capsys):
    pipeline = _load(model, with_bridge=True)
    weight = pipeline.video_dit.blocks[0].self_attn.q.weight
    file = tmp_path / "style.safetensors"
    parts = {"lora_A.weight": (1, weight.shape[1]), "lora_B.weight": (weight.shape[0], 1)}
    save_file(
        {f"video_dit.blocks.0.self_attn.q.{name}": np.ones(shape, np.float32) for name, shape in parts.items()}, file
    )
    report = tmp_path / "report"
    options = ["--model", model, "--clips", "1", "--seed", "0", "--lora", f"{file}:0.5", "--speed", "fast"]
    assert main(["evaluate", "toyworld", *options, "--size", "48x48", "--report", str(report)]) == 0
    capsys.readouterr()
    run = json.loads((report / "run.json").read_text())
    assert (run["speed"], run["precision"]) == ("fast", "float32")
    assert "style.safetensors" in json.dumps(run["loras"])
    assert "unipc" in json.dumps(run["settings"])
    assert read_clip(report / "clips" / "0000_ball.mp4").frames.shape[1:3] == (48, 48)


def test_kinds_and_combinations_can_be_asked_for(model, capsys):
    options = ["--model", model, "--clips", "2", "--seed", "0", "--kind", "keys", "--kind", "duet", "--by-combination"]
    assert main(["evaluate", "toyworld", *options, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [clip["kind"] for clip in document["clips"]] == ["keys", "duet"]
    assert set(document["by_kind"]) == {"keys", "duet"}
    assert document["by_combination"]


def test_a_kind_that_the_model_was_not_trained_for_is_named_once(model, tmp_path, capsys):
    shutil.copytree(model, tmp_path / "model")
    (tmp_path / "model" / "mova_scope.json").write_text('{"scenes": ["ball"]}')
    options = ["--model", str(tmp_path / "model"), "--clips", "1", "--seed", "0", "--kind", "board", "--kind", "ball"]
    assert main(["evaluate", "toyworld", *options]) == 0
    printed = capsys.readouterr()
    assert printed.err.count("was not trained for this") == 1
    assert "a scene without any of ball" in printed.err
    assert "| board (1) |" in printed.out


@pytest.mark.parametrize("given", GIVEN)
def test_what_a_model_is_given_comes_back_as_it_was(model, given):
    pipeline = _load(model, with_bridge=True)
    geometry = pipeline.codec_geometry
    rendered = render(sample_scene(3, kind="ball"), size=64, num_frames=9, sample_rate=geometry.sample_rate)
    clip = subject.generate(pipeline, rendered, given, 1, GivenSettings(num_inference_steps=1), "exact")
    kept = [np.array_equal(clip.frames, rendered.clip.frames), np.allclose(clip.waveform, rendered.clip.waveform)]
    assert kept == [given == "video", given == "audio"]


def test_the_command_names_all_that_can_be_given():
    assert [given.value for given in Given] == list(GIVEN)


def test_a_caption_alone_in_other_words_is_measured(model, tmp_path, capsys):
    report = tmp_path / "report"
    options = ["--model", model, "--clips", "1", "--seed", "0", "--given", "text", "--wording", "held-out"]
    assert main(["evaluate", "toyworld", *options, "--report", str(report)]) == 0
    assert "| wall of the caption's colour | " in capsys.readouterr().out
    run = json.loads((report / "run.json").read_text())
    assert (run["given"], run["wording"]) == ("text", "held-out")
    told = json.loads(next((report / "clips").glob("*.json")).read_text())["caption"]
    scene = sample_scene(2_000_000_000, kind="ball")
    assert told in {caption(scene, wording=wording) for wording in (6, 7)}


def test_the_video_of_another_clip_is_given_as_a_control(model, capsys):
    options = ["--model", model, "--clips", "2", "--seed", "0", "--kind", "ball", "--given", "video", "--shuffled"]
    assert main(["evaluate", "toyworld", *options, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["overall"]["faithful"]["value"] == 1


def test_the_sound_of_given_films_is_measured(model, capsys):
    options = ["--model", model, "--clips", "2", "--seed", "0", "--given", "video", "--json"]
    assert main(["evaluate", "toyworld", *options]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["overall"]["faithful"]["value"] == 1


def test_json_holds_every_clip(model, capsys):
    assert main(["evaluate", "toyworld", "--model", model, "--clips", "1", "--seed", "0", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["clips"]) == 1


def test_given_audio_may_have_a_share_of_the_noise(model, capsys):
    common = ["evaluate", "toyworld", "--model", model, "--clips", "1", "--seed", "0", "--given", "audio", "--json"]
    seen = []
    for level in ("0", "0.5"):
        assert main([*common, "--hold-noise", level]) == 0
        seen.append(json.loads(capsys.readouterr().out)["clips"])
    assert seen[0] != seen[1]
    assert main([*common, "--hold-noise", "1.5"]) != 0
    assert "hold_noise must lie in [0, 1], got 1.5; nearest is 1" in capsys.readouterr().err


def test_the_bridge_can_be_switched_off(model):
    with_bridge, without = _load(model, with_bridge=True), _load(model, with_bridge=False)
    arguments = {"seed": 1, "output_type": "latent", "modality_scale": 2.0}
    together, apart = (pipe("a red ball", **arguments).audio for pipe in (with_bridge, without))
    assert together.shape == apart.shape
    assert not together.equal(apart)
    without.enable_bridge()
    assert without("a red ball", **arguments).audio.equal(together)
    # What a bridge without layers gives.
    with_bridge.dual_tower_bridge.layers = ()
    assert with_bridge("a red ball", **arguments).audio.equal(apart)


@pytest.fixture(scope="module")
def rendered_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rendered")
    options = ["--count", "2", "--seed", "7", "--out", str(folder), "--size", "64", "--kind", "ball"]
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["toyworld", "render", *options]) == 0
    return folder


def test_clips_of_a_folder_are_measured_against_their_truth(rendered_folder, tmp_path, capsys):
    report = tmp_path / "report"
    options = ["--clips-from", str(rendered_folder), "--json", "--report", str(report)]
    assert main(["evaluate", "toyworld", *options]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [clip["seed"] for clip in document["clips"]] == [7, 8]
    assert document["overall"]["recall"]["value"] == document["overall"]["colour_right"]["value"] == 1
    assert document["ceiling"] is None
    assert json.loads((report / "run.json").read_text())["clips_from"] == str(rendered_folder)


@pytest.mark.parametrize("options", [["--steps", "3"], ["--model", "mova-tiny"], ["--no-bridge", "--given", "video"]])
def test_how_clips_are_made_is_no_option_for_those_that_exist(rendered_folder, capsys, options):
    assert main(["evaluate", "toyworld", "--clips-from", str(rendered_folder), *options]) == 2
    said = " ".join(capsys.readouterr().err.split())
    named = ", ".join(option for option in options if option.startswith("--"))
    assert all(option in said for option in named.split(", "))
    assert "measures clips that exist already" in said


def test_something_must_be_measured(capsys):
    assert main(["evaluate", "toyworld", "--clips", "3"]) == 2
    assert "needs --model, --clips and --seed, or --clips-from" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--clips", "0"], "clips must be 1 to 10000, got 0; nearest is 1"),
        (["--steps", "0"], "steps must"),
        (["--kind", "piano"], "must be one of ball, mallet, keys, face, duet, balls, board, got 'piano'"),
        (["--model", "no/such/folder/here"], "model must be"),
        (["--size", "64x48"], "size must be square, as the toy world is, got 64x48; nearest is 48x48"),
        (["--speed", "quick"], "speed must be one of"),
        (["--lora", "none.safetensors"], "lora must be a file that exists"),
        (
            ["--wording", "held_out"],
            "wording must be 0 to 7, training or held-out, got 'held_out'; nearest is held-out",
        ),
        (["--wording", "9"], "wording must be 0 to 7"),
        (["--shuffled"], "shuffled exchanges the given video or audio, got given frame; nearest is given video"),
        (["--shuffled", "--given", "audio"], "shuffled needs two clips of each kind, got 1 clips of 6 kinds"),
    ],
)
def test_wrong_input_is_exit_code_2(model, capsys, options, text):
    assert main(["evaluate", "toyworld", "--model", model, "--clips", "1", "--seed", "0", *options]) == 2
    assert text in capsys.readouterr().err


def test_a_report_folder_that_cannot_be_made_is_found_before_any_work(model, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    options = ["--model", model, "--clips", "1", "--seed", "0", "--report", str(tmp_path / "file" / "report")]
    assert main(["evaluate", "toyworld", *options]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "report" in printed.err
