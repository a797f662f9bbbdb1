"""`mova evaluate` from the command line, on a model of random weights."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mova.cli.app import main
from mova.cli.evaluate import Given, _generate, _load
from mova.generate.locate import ModelDefaults, write_defaults
from mova.toyworld import render, sample_scene

CHECKPOINT = Path(__file__).parents[1] / "numerics" / "records" / "pipeline_checkpoint"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate") / "model"
    shutil.copytree(CHECKPOINT, folder)
    write_defaults(folder, ModelDefaults(height=64, width=64, num_frames=9, num_inference_steps=1, guidance_scale=1.0))
    return str(folder)


def test_a_table_and_a_report_are_written(model, tmp_path, capsys):
    report = tmp_path / "report"
    options = ["--model", model, "--clips", "2", "--seed", "3", "--steps", "2", "--report", str(report)]
    assert main(["evaluate", "toyworld", *options]) == 0
    table = capsys.readouterr().out
    assert "| all (2 clips) | ball (1) | mallet (1) |" in table
    assert "ceiling |" in table
    assert (report / "report.md").read_text().strip() == table.strip()
    document = json.loads((report / "report.json").read_text())
    assert document["num_clips"] == len(document["clips"]) == 2
    assert document["ceiling"] is not None


def test_kinds_and_combinations_can_be_asked_for(model, capsys):
    options = ["--model", model, "--clips", "2", "--seed", "0", "--kind", "keys", "--kind", "duet", "--by-combination"]
    assert main(["evaluate", "toyworld", *options, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [clip["kind"] for clip in document["clips"]] == ["keys", "duet"]
    assert set(document["by_kind"]) == {"keys", "duet"}
    assert document["by_combination"]


@pytest.mark.parametrize("given", ["frame", "video", "audio"])
def test_what_a_model_is_given_comes_back_as_it_was(model, given):
    pipeline = _load(model, with_bridge=True)
    geometry = pipeline.codec_geometry
    rendered = render(sample_scene(3, kind="ball"), size=64, num_frames=9, sample_rate=geometry.sample_rate)
    clip = _generate(pipeline, rendered, Given(given), 1, {"num_inference_steps": 1})
    kept = [np.array_equal(clip.frames, rendered.clip.frames), np.allclose(clip.waveform, rendered.clip.waveform)]
    assert kept == [given == "video", given == "audio"]


def test_the_sound_of_given_films_is_measured(model, capsys):
    options = ["--model", model, "--clips", "2", "--seed", "0", "--given", "video", "--json"]
    assert main(["evaluate", "toyworld", *options]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["overall"]["faithful"]["value"] == 1


def test_json_holds_every_clip(model, capsys):
    assert main(["evaluate", "toyworld", "--model", model, "--clips", "1", "--seed", "0", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["clips"]) == 1


def test_the_bridge_can_be_switched_off(model):
    with_bridge, without = _load(model, with_bridge=True), _load(model, with_bridge=False)
    assert any(with_bridge.dual_tower_bridge.interacts_at(layer) for layer in range(4))
    assert not any(without.dual_tower_bridge.interacts_at(layer) for layer in range(4))
    arguments = {"seed": 1, "output_type": "latent"}
    together, apart = (pipe("a red ball", **arguments).audio for pipe in (with_bridge, without))
    assert together.shape == apart.shape
    assert not together.equal(apart)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--clips", "0"], "clips must be 1 to 10000, got 0; nearest is 1"),
        (["--steps", "0"], "steps must"),
        (["--kind", "piano"], "must be one of ball, mallet, keys, face, duet, balls, got 'piano'"),
        (["--model", "no/such/folder/here"], "model must be"),
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
