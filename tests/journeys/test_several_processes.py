"""`mova generate` in several processes: the same clip, one end for all."""

import json
import os
import signal
import time

import numpy as np
import pytest
from PIL import Image

from generate_kit import generate, start
from mova.media.read import read_clip
from mova.toyworld import render, sample_scene


def frames_of(path):
    return read_clip(path, frame_rate=24.0, num_frames=9, size=(48, 64)).frames.astype(int)


def test_two_processes_write_the_clip_of_one(tmp_path, capsys):
    options = [
        "--model",
        "mova-tiny",
        "--size",
        "64x48",
        "--image",
        str(tmp_path / "first.png"),
        # Two branches of guidance, one for each process.
        "--guidance-scale",
        "2",
        "--modality-scale",
        "1",
    ]
    # Of a picture that the model knows: from one of noise the video codec makes whole levels out of rounding.
    Image.fromarray(render(sample_scene(3), size=64).clip.frames[0, 8:56]).save(tmp_path / "first.png")
    assert generate(tmp_path / "one.mp4", *options) == 0
    capsys.readouterr()
    assert generate(tmp_path / "two.mp4", *options, "--gpus", "2", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["metadata"]["device"].startswith("2 x ")
    # Rounding to 8 bits may go the other way here and there.
    assert np.abs(frames_of(tmp_path / "one.mp4") - frames_of(tmp_path / "two.mp4")).max() <= 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.png", "one.mp4", "two.mp4"]


def test_a_degree_that_the_heads_forbid_ends_all_processes_with_exit_code_2(tmp_path, capsys):
    assert generate(tmp_path / "a.mp4", "--gpus", "2", "--layout", "ulysses=2") == 2
    shown = capsys.readouterr()
    text = "error: ulysses must divide the heads of all towers (video_dit 3, audio_dit 2), got 2; nearest is 1\n"
    assert shown.err == text
    assert shown.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_ctrl_c_ends_all_processes_with_exit_code_130(tmp_path):
    process = start("--output", tmp_path / "a.mp4", "--steps", "1000", "--gpus", "2", start_new_session=True)
    said = iter(process.stderr.readline, "")
    assert any("2 processes on" in line for line in said)
    time.sleep(3)
    # As a terminal does it: to all of them.
    os.killpg(process.pid, signal.SIGINT)
    _, log = process.communicate(timeout=300)
    assert process.returncode == 130, log
    assert "interrupted" in log
    assert "Traceback" not in log
    assert list(tmp_path.iterdir()) == []
    assert_all_gone(process.pid)


def test_processes_end_with_the_one_that_started_them(tmp_path):
    process = start("--output", tmp_path / "a.mp4", "--steps", "1000", "--gpus", "2", start_new_session=True)
    assert any("2 processes on" in line for line in iter(process.stderr.readline, ""))
    process.kill()
    process.communicate(timeout=300)
    assert_all_gone(process.pid)
    assert list(tmp_path.iterdir()) == []


def assert_all_gone(session):
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return
        time.sleep(0.2)
    os.killpg(session, signal.SIGKILL)
    pytest.fail("processes were left behind")


@pytest.mark.slow
@pytest.mark.parametrize(("options", "code"), [((), 0), (("--gpus", "3"), 1)], ids=["fits", "another number"])
def test_processes_of_torchrun_are_used(tmp_path, options, code):
    program = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "mova.cli"]
    process = start("--output", tmp_path / "a.mp4", *options, program=program)
    shown, log = process.communicate(timeout=300)
    assert process.returncode == code, log
    if code == 0:
        assert shown == f"{tmp_path / 'a.mp4'}\n"
        assert "2 processes on cpu: layout branches=2,ring=1,ulysses=1" in log or "2 processes on cuda" in log
    else:
        assert "gpus must be the number of processes that torchrun started, 2; got 3" in log
        assert list(tmp_path.iterdir()) == []
