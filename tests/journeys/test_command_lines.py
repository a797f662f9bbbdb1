"""Command lines that nobody would write: each ends with a clear error, quickly, and in little memory."""

import json
import os
import random
import select
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

from mova.cli.app import build_app
from mova.media.write import write_clip
from mova.toyworld import render, sample_scene
from mova.types import Clip

MOST_S = 20
MOST_BYTES = 2 * 2**30
MOST_TEXT = 20_000
CHECKPOINT = Path(__file__).parents[1] / "numerics" / "records" / "pipeline_checkpoint"
NUMBERS = [
    "0",
    "1",
    "-1",
    "5",
    "64",
    "128",
    "1e9",
    "100000000001",
    "9" * 30,
    "nan",
    "inf",
    "-inf",
    "0.5",
    "1e-300",
    "0x10",
]
WHOLE = ["0", "1", "1", "5", "9", "-1", "64", "128", "100000000001", "9" * 30]
TEXTS = [
    "",
    " ",
    "a",
    "\0",
    "a\0b",
    "\udcff",
    "红色的球",
    "\u202e",
    "x" * 5000,
    "--",
    "-",
    "=",
    "%s%n",
    "{}",
    "[1]",
    "null",
]
NAMES = ["mova-tiny", "mova-360p", "mova-720p", "MOVA 360P", "no/such", "../x", "exact", "fast", "fastest", "distilled"]
WORDS = [
    "auto",
    "resident",
    "disk",
    "float8",
    "int8",
    "nf4",
    "bf16",
    "sage",
    "euler",
    "white",
    "ball",
    "duet",
    "ring=2",
]
SIZES = ["64x64", "0x0", "48x32", "x", "99999999x99999999", "640X352", "64x", "1e3x64", "١٢٨x١٢٨"]

# Options that name what is written, and what is read.
WRITTEN = ("output", "target", "report", "out", "cache")
READ = (
    *("model", "source", "recipe", "path", "directory", "resume", "image", "last_image", "video", "audio", "prompts"),
    *("lora", "manifest", "like"),
)


def hostile_files(folder):
    """Make files of kinds that have done harm, and some that are right."""
    (folder / "sub").mkdir()
    made = {
        "empty.mp4": b"",
        "text.mp4": b"no film",
        "cut.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        "cut.qoi": b"qoif\0\0\x10\0\0\0\x10\0\3\0",
        "bomb.yaml": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
        + b"".join(b"%c: &%c [%s]\n" % (b, b, b",".join([b"*%c" % (b - 1)] * 9)) for b in range(98, 106)),
        "deep.yaml": b"[" * 5000,
        "deep.json": b"[" * 100_000,
        "deep.txt": b'{"prompt": ' + b"[" * 100_000,
        "list.txt": b'a ball\n{"prompt": "a", "seed": 99999999999999999999999999}\n',
        "utf16.txt": "a ball".encode("utf-16"),
        "nul.txt": b"a\0b\n",
        "cut.gguf": b"GGUF\3\0\0\0" + b"\xff" * 40,
        "zero.gguf": b"GGUF\3\0\0\0" + b"\0" * 16,
        "huge.safetensors": b"\xff" * 8 + b"{}",
        "shape.safetensors": b"\x3a"
        + bytes(7)
        + b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}   '
        + bytes(4),
        "pickle.pt": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
        "recipe.yaml": b"name: x\nstages: []\n",
    }
    for name, content in made.items():
        (folder / name).write_bytes(content)
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(folder / "small.png")
    Image.new("1", (9000, 9000)).save(folder / "wide.png")
    write_clip(folder / "film.mp4", render(sample_scene(1), size=64, num_frames=9).clip, metadata={"prompt": "a"})
    record = {"prompt": "a", "seed": 1, "settings": {"height": 10**20}, "model": "../..", "image": {"file": ".."}}
    frames, waveform = np.zeros((2, 16, 16, 3), np.uint8), np.zeros((1, 1333), np.float32)
    write_clip(folder / "record.mp4", Clip(frames, waveform, 24.0, 16_000), metadata=record)
    for name, file, text in (
        ("bad_index", "model_index.json", "[]"),
        ("bad_config", "video_dit/config.json", '{"num_layers": 1e9}'),
    ):
        shutil.copytree(CHECKPOINT, folder / name)
        (folder / name / file).write_text(text)
    (folder / "loop").symlink_to(folder / "loop")
    others = [str(CHECKPOINT), str(folder / "none"), "/dev/null", "/proc/self/mem", "/"]
    return [*(str(path) for path in sorted(folder.iterdir())), *others]


def commands():
    """Return the options of every command, as the application itself lists them."""
    found = {}

    def walk(command, names):
        children = getattr(command, "commands", None)
        for name, child in (children or {}).items():
            walk(child, (*names, name))
        if not children:
            found[names] = list(command.params)

    walk(typer.main.get_command(build_app()), ())
    return found


def value_for(chance, option, files, folder):
    if chance.random() < 0.15:
        return chance.choice(TEXTS + NUMBERS + NAMES + WORDS + SIZES + files)
    name = option.name
    if name in WRITTEN:
        ending = chance.choice([".mp4", "", ".md"])
        return chance.choice([str(folder / "out" / f"{chance.randrange(10**9)}{ending}"), *files[:2]])
    if name in READ:
        return chance.choice([*files, "mova-tiny"])
    if name == "size":
        return chance.choice(SIZES)
    kind = str(option.type_descriptor.annotation)
    if "int" in kind:
        return chance.choice(WHOLE)
    return chance.choice(NUMBERS if "float" in kind else NAMES + WORDS + TEXTS)


def command_line(chance, options_of, files, folder):
    names = chance.choice(list(options_of))
    line = list(names)
    params = options_of[names]
    for option in params:
        is_argument = option.param_type_name == "argument"
        if not (is_argument or getattr(option, "required", False) or chance.random() < 0.2) or option.name == "help":
            continue
        if chance.random() < 0.03:
            continue
        for _ in range(2 if chance.random() < 0.05 else 1):
            if is_argument:
                line.append(value_for(chance, option, files, folder))
            elif option.is_flag:
                line.append(option.opts[0])
            else:
                line += [option.opts[0], value_for(chance, option, files, folder)]
    if chance.random() < 0.05:
        line.insert(chance.randrange(len(line) + 1), chance.choice(TEXTS))
    return line


class Worker:
    """A process that runs command lines."""

    def __init__(self, folder):
        self._folder = folder
        self._log = (folder / "worker.log").open("wb")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TMPDIR": str(folder / "out")}
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).parent / "command_line_worker.py"],
            cwd=folder / "out",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment,
        )
        assert self._process.stdout.readline() == "ready\n", (folder / "worker.log").read_text()

    def run(self, line):
        """Return the exit code and the rest, or None when it did not answer in time or is gone."""
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()
        ready, *_ = select.select([self._process.stdout], [], [], 3 * MOST_S)
        answer = self._process.stdout.readline() if ready else ""
        return json.loads(answer) if answer else None

    def end(self):
        self._process.kill()
        self._process.communicate()
        self._log.close()


def fuzz(folder, count, seed):
    """Return what went wrong: the command line, and why."""
    (folder / "files").mkdir()
    (folder / "out").mkdir()
    files = hostile_files(folder / "files")
    options_of, chance, worker, wrong = commands(), random.Random(seed), Worker(folder), []
    try:
        for _ in range(count):
            line = command_line(chance, options_of, files, folder)
            answer = worker.run(line)
            if answer is None:
                wrong.append((line, "no answer"))
                worker.end()
                worker = Worker(folder)
                continue
            code, said, length, seconds, peak = answer
            reasons = {
                f"exit code {code}": code not in (0, 2, 3),
                "a traceback": "Traceback" in said,
                f"{length} letters": length > MOST_TEXT,
                # Processor time would be fairer; three times as long is what a busy machine may take.
                f"{seconds:.0f} s": seconds > 3 * MOST_S,
                f"{peak / 2**30:.1f} GiB": peak > MOST_BYTES,
            }
            found = [reason for reason, is_so in reasons.items() if is_so]
            if found:
                wrong.append((line, *found, said[-1500:]))
                if peak > MOST_BYTES:
                    worker.end()
                    worker = Worker(folder)
    finally:
        worker.end()
    return wrong


SLOW = pytest.param(int(os.environ.get("MOVA_FUZZ_COUNT", "500")), marks=pytest.mark.slow)


@pytest.mark.parametrize("count", [100, SLOW])
def test_no_command_line_breaks_the_command(tmp_path, count):
    wrong = fuzz(tmp_path, count, seed=17)
    shown = [f"{[part[:200] for part in line]}\n{why}" for line, *why in wrong[:12]]
    assert not wrong, "\n\n".join([f"{len(wrong)} of {count}", *shown])
