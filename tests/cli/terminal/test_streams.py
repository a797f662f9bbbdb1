"""What is printed for whom: any encoding, readers that leave, streams that are closed or full."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKPOINT = Path(__file__).parents[2] / "numerics" / "records" / "pipeline_checkpoint"
SHORT = ["--model", str(CHECKPOINT), "--size", "48x32", "--frames", "5", "--steps", "1"]
NAME = "dog-\udcff-红.mp4"


def shell(line, folder, **variables):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MOVA": f"{sys.executable} -m mova", **variables}
    return subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, check=False, env=environment)


@pytest.mark.parametrize(
    "encoding",
    ["cp1252", "utf-16", pytest.param("ascii", marks=pytest.mark.slow), pytest.param("utf-8", marks=pytest.mark.slow)],
)
def test_results_are_printed_in_any_encoding(tmp_path, encoding):
    command = [sys.executable, "-m", "mova", "generate", "--prompt", "红色的球", *SHORT, "--output", NAME]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": encoding}
    made = subprocess.run([*command, "--json"], cwd=tmp_path, capture_output=True, check=False, env=environment)
    assert made.returncode == 0, made.stderr
    record = json.loads(made.stdout.decode(encoding))
    assert record["path"] == NAME


def test_a_name_that_is_no_text_is_printed_as_its_bytes(tmp_path):
    name = b"clips-\xff"
    command = [sys.executable, "-m", "mova", "toyworld", "render", "--count", "1", "--seed", "1", "--out", name]
    made = subprocess.run(
        command, cwd=tmp_path, capture_output=True, check=False, env={**os.environ, "PYTHONIOENCODING": "utf-8"}
    )
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith(name + b"/")
    shown = shell(f"$MOVA weights inspect {CHECKPOINT}", tmp_path, PYTHONIOENCODING="cp1252")
    assert shown.returncode == 0, shown.stderr


@pytest.mark.parametrize(
    "command",
    [
        "--help",
        pytest.param("plan --model mova-360p", marks=pytest.mark.slow),
        f"weights inspect {CHECKPOINT}",
    ],
)
def test_a_reader_that_leaves_early_is_no_failure(tmp_path, command):
    made = shell(f"set -o pipefail; $MOVA {command} | head -n 0", tmp_path)
    assert (made.returncode, made.stderr) == (0, b"")


@pytest.mark.parametrize(
    "streams",
    [
        "2>/dev/full",
        ">&- 2>&- <&-",
        pytest.param("2>&-", marks=pytest.mark.slow),
        pytest.param(">&-", marks=pytest.mark.slow),
    ],
)
def test_a_clip_is_made_whatever_becomes_of_the_streams(tmp_path, streams):
    made = shell(f"$MOVA generate --prompt dog --output a.mp4 {' '.join(SHORT)} {streams}", tmp_path)
    assert made.returncode == 0, made.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_clip_whose_name_cannot_be_printed_is_there_and_named(tmp_path):
    made = shell(f"set -o pipefail; $MOVA generate --prompt dog --output a.mp4 {' '.join(SHORT)} | true", tmp_path)
    assert made.returncode == 0, made.stderr
    assert b"stdout was closed; a.mp4 is complete" in made.stderr
    assert (tmp_path / "a.mp4").is_file()


def test_a_full_stdout_is_a_failure_with_a_word(tmp_path):
    made = shell("$MOVA plan --model mova-360p > /dev/full", tmp_path)
    assert made.returncode == 2
    assert b"No space left on device" in made.stderr
