"""`mova train` from the command line: what is wrong is said before anything is trained."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import mova
from mova.cli.app import main
from mova.recipe.locate import find_recipe, list_recipes
from mova.train.loop.checkpoint import newest_state

HISTORY = Path(mova.__file__).parent / "assets" / "mova-tiny" / "history"


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copy(HISTORY / "tiny_text_encoder.yaml", tmp_path))


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("run.max_stpes=3", "run.max_stpes: unknown key; did you mean max_steps?"),
        ("run.max_steps=-1", "run.max_steps"),
        ("run.max_steps", "an override must read key=value, got 'run.max_steps'"),
    ],
)
def test_wrong_overrides_are_exit_code_2(recipe, capsys, override, text):
    assert main(["train", str(recipe), "--set", override]) == 2
    assert text in capsys.readouterr().err
    assert not Path("runs").exists()


def test_a_misspelt_recipe_is_exit_code_2_with_the_nearest_one(recipe, capsys):
    assert main(["train", str(recipe.with_name("tiny_text_encodr.yaml"))]) == 2
    assert "did you mean" in capsys.readouterr().err


def test_a_shipped_recipe_goes_by_its_name_whatever_lies_here(recipe, capsys):
    Path("tiny").mkdir()
    Path("lora").write_text("no recipe")
    assert main(["train", "tiny", "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("tiny_1_text_encoder: text_encoder -> runs/tiny/model, ")
    # A separator makes a path of it, also where a recipe has that name.
    assert main(["train", "./lora", "--dry-run"]) == 2
    assert "lora must hold a mapping" in capsys.readouterr().err


def test_an_unknown_name_is_exit_code_2_with_all_names_and_the_nearest(recipe, capsys):
    assert main(["train", "lroa"]) == 2
    told = capsys.readouterr().err
    assert "the unknown name 'lroa'; did you mean lora? Names: audio_pretrain, distill, " in told
    assert main(["train"]) == 2
    assert "--list prints the names" in capsys.readouterr().err


@pytest.mark.parametrize("option", [[], ["--dry-run"], ["--show"]], ids=str)
def test_a_recipe_at_its_former_path_is_exit_code_2_with_its_name(recipe, capsys, option):
    assert main(["train", "recipes/train/lora.yaml", *option]) == 2
    assert "there is no recipe at recipes/train/lora.yaml; " in capsys.readouterr().err.replace("error: ", "")
    assert main(["train", "recipes/train/tiny_grow.yaml", *option]) == 2
    assert str(HISTORY / "tiny_grow.yaml") in capsys.readouterr().err


def test_every_name_is_listed_with_a_line_about_it(capsys):
    assert main(["train", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=1)[0] for line in lines] == [one.name for one in list_recipes("train")]
    assert all(len(line.split(maxsplit=1)[1]) > 20 for line in lines)


def test_a_recipe_that_is_shown_is_the_beginning_of_ones_own(recipe, capsys):
    assert main(["train", "tiny_lora", "--show"]) == 0
    text = capsys.readouterr().out
    assert text == find_recipe("tiny_lora", "train").read_text()
    Path("mine.yaml").write_text(text.replace("rank: 16", "rank: 4"))
    assert main(["train", "mine.yaml", "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("mine: lora -> runs/tiny_lora/model, ")
    assert main(["train", "tiny_lora", "--show", "--set", "run.max_steps=3"]) == 2
    assert "goes with no other option, got --set too" in capsys.readouterr().err


def test_there_is_nothing_to_resume_at_an_absent_folder(recipe, capsys):
    assert main(["train", str(recipe), "--resume", "runs/tiny"]) == 2
    assert "runs/tiny" in capsys.readouterr().err


def test_without_the_extra_the_exit_code_is_3(recipe):
    code = (
        "import sys; sys.modules['yaml'] = None; from mova.cli.app import main; "
        f"sys.exit(main(['train', {str(recipe)!r}]))"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert made.returncode == 3
    assert "mova[train]" in made.stderr


def test_a_dry_run_says_what_would_run_and_leaves_nothing(recipe, capsys):
    assert main(["train", str(recipe), "--dry-run", "--set", "run.max_steps=7"]) == 0
    captured = capsys.readouterr()
    assert (
        captured.out
        == "tiny_text_encoder: text_encoder -> runs/tiny/model, 7 steps of 64 samples, 20000 clips of toy\n"
    )
    assert not Path("runs").exists()


def test_without_a_terminal_there_are_lines_and_the_folder_alone_is_on_stdout(recipe, tmp_path, capsys):
    changes = ["data.num_clips=30", "run.max_steps=3", "run.batch_size=2", "run.log_every=1", "run.device=cpu"]
    settings = [text for change in changes for text in ("--set", change)]
    assert main(["train", str(recipe), "--cache", str(tmp_path / "cache"), *settings]) == 0
    shown = capsys.readouterr()
    assert shown.out == "runs/tiny/model\n"
    lines = [line for line in shown.err.splitlines() if line.startswith("text_encoder ")]
    assert lines[0].startswith("text_encoder 1/3 ")
    assert lines[-1].startswith("text_encoder 3/3 ")
    assert "samples/s loss " in lines[-1]


@pytest.mark.slow  # The same signal comes to the same command in tests/train/loop/test_interrupt.py.
def test_sigterm_saves_the_state_and_is_exit_code_143(recipe, tmp_path):
    changes = ["data.num_clips=30", "run.batch_size=2", "run.log_every=1", "run.device=cpu"]
    command = [sys.executable, "-m", "mova.cli", "train", str(recipe)]
    for change in changes:
        command += ["--set", change]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    home = Path("runs/tiny/tiny_text_encoder")
    while not (home / "log.jsonl").is_file():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.terminate()
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 143, errors
    assert output == ""
    assert "the state is saved" in errors
    assert errors.splitlines()[-1] == "interrupted (SIGTERM)"
    assert newest_state(home / "checkpoints").step >= 1
