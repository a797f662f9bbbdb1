"""`mova weights convert`, killed at random moments: complete or absent, and a later run leaves nothing of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("killed_convert.py")
CHECKPOINT = Path(__file__).parents[1] / "numerics" / "records" / "pipeline_checkpoint"


def run(folder, count):
    command = [sys.executable, SCRIPT, CHECKPOINT, folder, str(count)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    facts = json.loads(done.stdout.splitlines()[-1])
    assert set(facts["found"]) <= {"absent", "complete"}
    assert facts["again"] == ["complete"] * 2
    assert facts["left_at_the_end"] == []


def test_a_killed_conversion_leaves_nothing_half_written_and_a_later_one_works(tmp_path):
    run(tmp_path, int(os.environ.get("MOVA_KILL_COUNT", "2")))


@pytest.mark.slow
def test_thirty_kills(tmp_path):
    run(tmp_path, 30)
