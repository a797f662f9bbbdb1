"""Prompt and picture to an mp4, through the installed command, on a model directory in the published layout."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from mova.media.probe import probe
from mova.media.read import read_clip
from mova.media.write import read_metadata

CHECKPOINT = Path(__file__).parents[1] / "numerics" / "records" / "pipeline_checkpoint"


def mova(*arguments):
    command = [sys.executable, "-m", "mova.cli", "generate", *map(str, arguments)]
    made = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert made.returncode == 0, made.stderr
    return made


def test_a_sentence_and_a_picture_become_a_clip_and_the_clip_gets_new_sound(tmp_path):
    picture = tmp_path / "first.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)).save(picture)
    common = ["--model", CHECKPOINT, "--size", "48x32", "--frames", "9", "--steps", "3"]

    first = mova(
        "--prompt",
        "a boat on a lake; gulls call",
        "--image",
        picture,
        *common,
        "--output",
        tmp_path / "a.mp4",
        "--json",
    )
    record = json.loads(first.stdout)
    assert record["path"] == str(tmp_path / "a.mp4")
    info = probe(tmp_path / "a.mp4")
    assert info.video.display_size == (32, 48)
    assert abs(info.audio.start_s - info.video.start_s) < 0.001
    clip = read_clip(tmp_path / "a.mp4")
    assert clip.frames.shape == (9, 32, 48, 3)
    assert clip.waveform.shape == (1, 18_000)
    assert read_metadata(tmp_path / "a.mp4")["prompt"] == "a boat on a lake; gulls call"

    second = mova("--prompt", "a dog barks", "--video", tmp_path / "a.mp4", *common, "--output", tmp_path / "b.mp4")
    assert second.stdout.strip() == str(tmp_path / "b.mp4")
    dubbed = read_clip(tmp_path / "b.mp4")
    assert abs(dubbed.frames.astype(int) - clip.frames.astype(int)).mean() < 10, "the picture stays, but for the codec"
    assert not np.allclose(dubbed.waveform, clip.waveform, atol=0.01)
