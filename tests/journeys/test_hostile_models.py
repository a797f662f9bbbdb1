"""Mutated model folders, GGUF files and safetensors files are read or refused: never a traceback, a hang or gigabytes.

MOVA_FUZZ_COUNT tries that many of each kind.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from gguf_writer import write_gguf

SCRIPT = Path(__file__).with_name("hostile_models.py")
CHECKPOINT = Path(__file__).parents[1] / "numerics" / "records" / "pipeline_checkpoint"
IN_SUITE = {"model": 40, "gguf": 60, "safetensors": 60}


@pytest.fixture
def bases(tmp_path):
    """A model, a GGUF file and a safetensors file, on the disk where the cases are made."""
    shutil.copytree(CHECKPOINT, tmp_path / "base")
    tensors = {"a.weight": torch.randn(4, 32), "b.weight": torch.randn(2, 256), "c": torch.randn(6)}
    metadata = {"general.name": "x", "comfy.gguf.orig_shape.c": [2, 3], "words": ["a", "b"]}
    write_gguf(tmp_path / "base.gguf", tensors, {"a.weight": "Q8_0", "b.weight": "Q4_K"}, metadata)
    recommended = {"recommended": json.dumps({"num_inference_steps": 4})}
    save_file(tensors, tmp_path / "base.safetensors", metadata=recommended)
    return {"model": tmp_path / "base", "gguf": tmp_path / "base.gguf", "safetensors": tmp_path / "base.safetensors"}


def try_cases(kind, base, folder, count):
    folder.mkdir()
    command = [sys.executable, SCRIPT, kind, base, folder, "0", str(count)]
    child = subprocess.run(command, capture_output=True, text=True)
    lines = [json.loads(line) for line in child.stdout.splitlines() if line.startswith("{")]
    assert len(lines) == count, f"ended at case {len(lines)} with {child.returncode}: {child.stderr[-3000:]}"
    wrong = [line for line in lines if set(line["found"].values()) - {"done", "refused"}]
    assert not wrong, "\n".join(f"{line['case']}: {line['what']}\n{line['found']}" for line in wrong[:5])
    return lines


@pytest.mark.parametrize("kind", IN_SUITE)
def test_mutated_files_are_read_or_refused(bases, tmp_path, kind):
    count = int(os.environ.get("MOVA_FUZZ_COUNT", IN_SUITE[kind]))
    lines = try_cases(kind, bases[kind], tmp_path / "cases", count)
    outcomes = [outcome for line in lines for outcome in line["found"].values()]
    # Neither all is refused nor nothing: the mutations are small, and they are seen.
    assert outcomes.count("done") > len(lines) / 10
    assert outcomes.count("refused") > len(lines) / 10


@pytest.mark.slow
@pytest.mark.parametrize("kind", IN_SUITE)
def test_many_mutated_files_are_read_or_refused(bases, tmp_path, kind):
    try_cases(kind, bases[kind], tmp_path / "cases", int(os.environ.get("MOVA_FUZZ_COUNT", "500")))
