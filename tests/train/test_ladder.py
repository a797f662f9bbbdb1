"""Recipes run as a ladder, and what is refused before anything runs."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mova.errors import ConfigError
from mova.pipeline.load import load_pipeline
from mova.train.config import accepts, load_recipe
from mova.train.ladder import plan_recipe, run_recipe
from mova.train.loop.checkpoint import list_states, newest_state
from mova.weights.components import verify_component

CPU = torch.device("cpu")
COMPONENTS = ("text_encoder", "video_vae", "audio_vae", "audio_dit", "video_dit", "video_dit_2", "dual_tower_bridge")


def test_a_ladder_makes_every_component(ladder_run):
    folder, _ = ladder_run
    for name in COMPONENTS:
        verify_component(folder / "model" / name)
    assert (folder / "model" / "tokenizer" / "tokenizer.json").is_file()


def test_each_stage_leaves_its_recipe_its_log_and_its_figures(ladder_run):
    folder, shown = ladder_run
    figures = json.loads((folder / "tiny_joint" / "done.json").read_text())
    assert figures["video_error_0.6"] > 0
    recipe = json.loads((folder / "tiny_joint" / "recipe.json").read_text())
    assert recipe["run"]["max_steps"] == 2
    log = [json.loads(line) for line in (folder / "tiny_joint" / "log.jsonl").read_text().splitlines()]
    assert [line["event"] for line in log] == ["train", "train", "validate"]
    stages = ["text_encoder", "video_autoencoder", "video_autoencoder", "audio_autoencoder"]
    assert [one.stage for one in shown if one.step == 1] == [*stages, "audio_tower", "joint"]
    assert {(one.step, one.total) for one in shown if "latents" not in one.stage} == {(1, 2), (2, 2)}
    encoded = [(one.stage, one.step, one.total) for one in shown if "latents" in one.stage]
    assert encoded == [
        *(("latents of train", done, 10) for done in (0, 4, 8, 10)),
        *(("latents of validation", done, 8) for done in (0, 4, 8)),
    ]


def test_a_finished_ladder_is_left_as_it_is(ladder_run, recipes, minimal):
    folder, _ = ladder_run
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    shown = []
    overrides = (*minimal, f"model={folder}/model", f"destination={folder}/mova-tiny")
    run_recipe(recipes("tiny"), overrides=overrides, resume=folder, on_progress=shown.append)
    assert shown == []
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_a_finished_stage_goes_on_where_more_steps_are_asked_for(recipes, minimal, tmp_path, caplog):
    plain = load_recipe(recipes("tiny_text_encoder"))
    overrides = [*(text for text in minimal if accepts(plain, text)), f"model={tmp_path}/run/model"]
    names = ["first.yaml", "second.yaml"]
    for name in names:
        shutil.copy(recipes("tiny_text_encoder"), tmp_path / name)
    (tmp_path / "ladder.yaml").write_text(json.dumps({"stage": "ladder", "recipes": names}))
    run_recipe(tmp_path / "ladder.yaml", overrides=overrides)
    more = [*overrides, "run.max_steps=3"]
    assert [done for _, _, done in plan_recipe(tmp_path / "first.yaml", more)] == [False]
    run_recipe(tmp_path / "first.yaml", overrides=more, resume=tmp_path / "run")
    assert last_logged_step(tmp_path / "run" / "first") == 3
    assert [done for _, _, done in plan_recipe(tmp_path / "first.yaml", more)] == [True]
    # Without its states it would begin again, on its own result.
    (tmp_path / "run" / "first" / "checkpoints").rename(tmp_path / "away")
    with pytest.raises(ConfigError, match=r"first is done, and .* holds no state to go on from, got run.max_steps 4"):
        run_recipe(tmp_path / "first.yaml", overrides=[*overrides, "run.max_steps=4"], resume=tmp_path / "run")
    assert (tmp_path / "run" / "first" / "done.json").is_file()
    (tmp_path / "away").rename(tmp_path / "run" / "first" / "checkpoints")
    # What came after it had learned from what it was.
    (tmp_path / "run" / "first" / "done.json").unlink()
    run_recipe(tmp_path / "ladder.yaml", overrides=overrides, resume=tmp_path / "run")
    assert "first goes on; second, done before, will not be run again" in caplog.text


def test_a_used_folder_needs_the_word_resume(ladder_run, recipes):
    folder, _ = ladder_run
    with pytest.raises(ConfigError, match=rf"already holds tiny_joint; go on with --resume {folder}"):
        run_recipe(recipes("tiny_joint"), overrides=[f"model={folder}/model"])


def test_the_folder_to_resume_must_hold_a_stage_of_the_recipe(ladder_run, recipes, tmp_path):
    folder, _ = ladder_run
    with pytest.raises(ConfigError, match=rf"must name a folder of this run, which holds tiny_joint, got {tmp_path}"):
        run_recipe(recipes("tiny_joint"), overrides=[f"model={folder}/model"], resume=tmp_path)
    absent = tmp_path / "absent"
    for model in (absent, folder):
        with pytest.raises(ConfigError, match="nothing to resume"):
            run_recipe(recipes("tiny_joint"), overrides=[f"model={model}/model"], resume=absent)
    assert not absent.exists()


def text_recipe(recipes, minimal, tmp_path):
    shutil.copy(recipes("tiny_text_encoder"), tmp_path / "text.yaml")
    plain = load_recipe(tmp_path / "text.yaml")
    return tmp_path / "text.yaml", [*(text for text in minimal if accepts(plain, text)), "model=runs/one/model"]


def test_a_run_goes_on_where_its_folder_is_now(recipes, minimal, tmp_path, monkeypatch):
    """Moved, copied, or named by another path; the recipe still says where it was."""
    monkeypatch.chdir(tmp_path)
    recipe, settings = text_recipe(recipes, minimal, tmp_path)
    run_recipe(recipe, overrides=settings)
    shutil.copytree("runs/one", "copied")
    shutil.move("runs/one", "moved")
    (tmp_path / "linked").symlink_to(tmp_path / "moved")
    places = ["moved", "linked", "copied"]
    for steps, place in enumerate(places, start=3):
        # Each of the first two goes on from the one before; the copy was made when there were 2 steps.
        more = [*settings, f"run.max_steps={steps}"]
        assert [done for _, _, done in plan_recipe(recipe, more, Path(place))] == [False]
        model = run_recipe(recipe, overrides=more, resume=Path(place))
        assert model == Path(place) / "model"
        lines = [json.loads(line) for line in (Path(place) / "text" / "log.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines if line["event"] == "resume"][-1] == (
            steps - 1 if place != "copied" else 2
        )
        assert last_logged_step(Path(place) / "text") == steps
    assert not Path("runs/one").exists()


def test_one_process_at_a_time_trains_in_a_folder(recipes, minimal, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe, settings = text_recipe(recipes, minimal, tmp_path)
    holder = (
        "import sys, pathlib; from mova.files.lock import lock_folder\nwith lock_folder(pathlib.Path('runs/one'), 'x'):"
    )
    holder += " print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path
    ) as other:
        other.stdout.readline()
        with pytest.raises(ConfigError, match=rf"use the run folder runs/one, which process {other.pid} on"):
            run_recipe(recipe, overrides=settings)
        assert not (tmp_path / "runs" / "one" / "text").exists()
        other.kill()
    # A crash sets it free.
    run_recipe(recipe, overrides=settings)


def write_ladder(tmp_path, recipes, *models):
    names = []
    for index, model in enumerate(models):
        text = (recipes("tiny_audio_tower")).read_text().replace("runs/tiny/model", str(model))
        (tmp_path / f"stage{index}.yaml").write_text(text)
        names.append(f"stage{index}.yaml")
    (tmp_path / "ladder.yaml").write_text(json.dumps({"stage": "ladder", "recipes": names}))
    return tmp_path / "ladder.yaml"


def test_stages_of_a_ladder_share_one_model(tmp_path, recipes):
    path = write_ladder(tmp_path, recipes, tmp_path / "run" / "one", tmp_path / "run" / "two")
    with pytest.raises(ConfigError, match=r"must share one model directory, got .*one, .*two"):
        run_recipe(path)


def test_a_ladder_holds_no_ladder(tmp_path, recipes):
    path = write_ladder(tmp_path, recipes, tmp_path / "run" / "model")
    (tmp_path / "outer.yaml").write_text("stage: ladder\nrecipes: [ladder.yaml]\n")
    with pytest.raises(ConfigError, match=rf"no other of its kind, got {path}"):
        run_recipe(tmp_path / "outer.yaml")


def test_a_wrong_recipe_late_in_the_ladder_stops_it_before_it_starts(tmp_path, recipes):
    path = write_ladder(tmp_path, recipes, *[tmp_path / "run" / "model"] * 2)
    (tmp_path / "stage1.yaml").write_text("stage: joint\n")
    with pytest.raises(ConfigError, match=r"stage1.yaml does not fit"):
        run_recipe(path)
    assert not (tmp_path / "run").exists()


def test_a_key_that_no_stage_has_is_an_error(recipes, tmp_path):
    overrides = [f"model={tmp_path}/run/model", "run.max_stpes=3"]
    with pytest.raises(ConfigError, match=r"run.max_stpes: unknown key; did you mean max_steps"):
        run_recipe(recipes("tiny"), overrides=overrides)
    assert not (tmp_path / "run").exists()


def last_logged_step(folder):
    lines = (folder / "log.jsonl").read_text().splitlines() if (folder / "log.jsonl").is_file() else []
    return max((json.loads(line).get("step", 0) for line in lines if line.endswith("}")), default=0)


def kill_between_checkpoints(command, folder):
    """Start a run and kill it without a word at a step that no state on disk has yet."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        while True:
            saved = [int(path.name[-8:]) for path in list_states(folder / "checkpoints")]
            if saved and last_logged_step(folder) > max(saved) >= 2:
                os.kill(process.pid, signal.SIGKILL)
                return
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.005)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_run_that_is_killed_and_resumed_ends_in_the_same_weights(recipes, tmp_path):
    """Through the real command line: SIGKILL after a checkpoint, then --resume."""
    shutil.copy(recipes("tiny_text_encoder"), tmp_path / "text.yaml")
    settings = {
        "data.num_clips": 50,
        "run.device": "cpu",
        "run.max_steps": 25,
        "run.batch_size": 4,
        "run.log_every": 1,
        "run.checkpoint_every_s": 0.2,
        "optimizer.warmup_steps": 5,
    }
    changes = [f"{key}={value}" for key, value in settings.items()]
    run_recipe(tmp_path / "text.yaml", overrides=[*changes, f"model={tmp_path}/straight/model"])

    killed = tmp_path / "killed"
    command = [sys.executable, "-m", "mova.cli", "train", str(tmp_path / "text.yaml")]
    for change in (*changes, f"model={killed}/model"):
        command += ["--set", change]
    kill_between_checkpoints(command, killed / "text")
    assert not (killed / "model").exists()
    resumed = subprocess.run([*command, "--resume", str(killed)], capture_output=True, text=True, check=False)
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.strip() == f"{killed}/model"
    events = [json.loads(line) for line in (killed / "text" / "log.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events].count("resume") == 1

    for name in ("text_encoder/model.safetensors", "tokenizer/tokenizer.json"):
        one, other = ((folder / "model" / name).read_bytes() for folder in (tmp_path / "straight", killed))
        assert one == other, name
    one, other = (newest_state(folder / "text" / "checkpoints") for folder in (tmp_path / "straight", killed))
    assert one.step == other.step == 25
    assert one.tensors == other.tensors
    for state in (one, other):
        state.read = {name: torch.empty(shape, dtype=dtype) for name, (shape, dtype) in state.tensors.items()}
        state.read_into(state.read)
    for name, value in one.read.items():
        assert name.startswith("random/") or torch.equal(value, other.read[name]), name


def test_another_recipe_is_refused_with_the_keys_that_differ(ladder_run, recipes, minimal):
    folder, _ = ladder_run
    overrides = [
        f"model={folder}/model",
        *(text for text in minimal if accepts(load_recipe(recipes("tiny_joint")), text)),
    ]
    text = "tiny_joint was begun with another recipe; these keys differ:\n  text_dropout: was 0.15, is 0.4\n"
    with pytest.raises(ConfigError, match=text):
        run_recipe(recipes("tiny_joint"), overrides=[*overrides, "text_dropout=0.4"], resume=folder)


def test_a_plan_tells_what_is_finished_and_runs_nothing(ladder_run, recipes, minimal, tmp_path):
    folder, _ = ladder_run
    overrides = (*minimal, f"model={folder}/model", f"destination={folder}/mova-tiny")
    assert all(done for _, _, done in plan_recipe(recipes("tiny"), overrides))
    fresh = plan_recipe(recipes("tiny_joint"), [f"model={tmp_path}/run/model"])
    assert [(name, config.stage, done) for name, config, done in fresh] == [("tiny_joint", "joint", False)]
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_shipped_ladder_makes_a_model(minimal, tmp_path):
    """The three phases of the paper, each from the weights of the one before, then a model that generates."""
    # This ladder has no stage of its own for latents, which has a device.
    sizes = [text for text in minimal if text != "device=cpu"]
    overrides = (*sizes, f"model={tmp_path}/model", f"destination={tmp_path}/mova-tiny", "validation.clips=1")
    run_recipe("tiny", overrides=[*overrides, "validation.num_inference_steps=1"])
    pipeline = load_pipeline(tmp_path / "mova-tiny")
    pipeline.set_progress_bar_config(disable=True)
    clip = pipeline("A face says first ah.", seed=0, output_type="np").clip()
    assert clip.frames.shape == (17, 32, 32, 3)
    for phase in (1, 2, 3):
        assert (tmp_path / f"tiny_{phase + 4}_phase{phase}" / "validation").is_dir()
