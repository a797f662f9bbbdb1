"""The wheel in an environment of its own, without the source tree: what a user has after `pip install mova`."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KEPT = "audio_pretrain distill distill_4 full_finetune full_finetune_publish joint_phase1 joint_phase2 joint_phase3 "
KEPT += "lora lora_low_vram tiny tiny_conditions tiny_distill tiny_lora tiny_wordings"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this source tree, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, f"is hatchling (extra dev) installed?\n{made.stderr}"
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def run(wheel, tmp_path_factory):
    """Return a function that runs a line of a shell in an empty folder, where `mova` is the wheel's."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home / "env", with_pip=False, symlinks=True)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(home / "env"), "platbase": str(home / "env")}))
    command = [sys.executable, "-m", "pip", "--python", str(home / "env"), "--disable-pip-version-check", "install"]
    subprocess.run([*command, "--quiet", "--no-index", "--no-deps", str(wheel)], check=True)
    # What the package needs comes from the environment of the tests, after the wheel and without what is editable
    # there: a folder that a .pth file adds has its own .pth files ignored.
    (site / "needs.pth").write_text(sysconfig.get_path("purelib"))
    here = home / "here"
    here.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"PATH": f"{home}/env/bin:{os.environ['PATH']}", "HF_HUB_OFFLINE": "1", "HF_HOME": str(home / "hub")}

    def run_line(line: str) -> str:
        shell = ["bash", "-euo", "pipefail", "-c", line]
        done = subprocess.run(shell, cwd=here, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\nended with {done.returncode}\n{done.stderr[-2000:]}"
        return done.stdout

    run_line.here = here
    assert run_line("python -c 'import mova; print(mova.__file__)'").startswith(str(site))
    return run_line


def demo_commands():
    """The lines of `make demo` as the shell gets them."""
    text = (ROOT / "Makefile").read_text()
    seed = re.search(r"^DEMO_SEED \?= (\d+)$", text, re.MULTILINE)[1]
    lines = re.search(r"^demo:.*\n((?:\t.*\n)+)", text, re.MULTILINE)[1].splitlines()
    return [
        line.strip().removeprefix("@").replace("$(BIN)/", "").replace("$(DEMO_SEED)", seed).replace("$$", "$")
        for line in lines
    ]


def test_recipes_and_their_history_are_in_the_wheel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"mova/assets/recipes/train/{name}.yaml" for name in KEPT.split()} < names
    assert "mova/assets/mova-tiny/history/tiny_grow.yaml" in names


def test_recipes_go_by_their_names(run):
    listed = [line.split()[0] for line in run("mova train --list").splitlines() if not line.startswith(" ")]
    assert listed == KEPT.split()
    assert run("mova train tiny --dry-run").startswith("tiny_1_text_encoder: ")
    assert run("mova train lora --show | head -n 1").startswith("# Adapters of all four components")
    assert not (run.here / "runs").exists()


def test_a_lora_of_a_list_of_clips_is_checked_by_name(run):
    clips = [Path(line).name for line in run("mova toyworld render --count 4 --seed 0 --out clips").split()]
    entries = [{"video_path": name, "caption": f"Clip {number}."} for number, name in enumerate(clips)]
    (run.here / "clips" / "metadata.json").write_text(json.dumps(entries))
    told = run("mova train lora --set data.path=clips/metadata.json --set data.validation_clips=2 --dry-run")
    assert told.startswith("lora: lora -> runs/lora/model, 5000 steps of 4 samples, all clips of metadata\n")
    assert "4 usable in 4 files" in told
    assert "116.04 GB" in told
    assert not (run.here / "runs").exists()


SHORT = "--size 64x64 --frames 9 --steps 2"


@pytest.mark.parametrize("options", [SHORT, pytest.param("", marks=pytest.mark.slow, id="as it is")])
def test_the_demo_makes_its_clip(run, options):
    shutil.rmtree(run.here / "out", ignore_errors=True)
    for command in demo_commands():
        run(command.replace("mova generate", f"mova generate {options}"))
    assert (run.here / "out" / "demo.png").is_file()
    assert (run.here / "out" / "demo.mp4").stat().st_size > (2_000 if options else 10_000)
