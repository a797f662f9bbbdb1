"""Long clips: clips of the toy world gone on with to eight times their length, their seams and their drift, and memory.

    .venv/bin/python benchmarks/bench_long.py --clips 8 --out out/long > benchmarks/results/long_<machine>_<yyyymm>.md

For each kind of scene a rendered clip is continued (`mova generate --extend`). The note has the spectral flux of the
audio where windows meet beside that of real clips, how much frames change there, how far the colour of the background
has gone by the last quarter, and the peak memory of a short and a long clip. Whether events are seen and heard along
the clip says `mova evaluate toyworld --clips-from OUT --parts 4`, which reads the same folder. Clips that are there are
kept.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import TextIO

import numpy as np

from mova.generate.long.choice import LongChoice
from mova.generate.many import Job
from mova.generate.request import ClipOptions
from mova.generate.run import generate_files, make_request
from mova.media.read import read_clip
from mova.media.write import read_metadata
from mova.toyworld.export import render_clips
from mova.types import Clip

KINDS = ("keys", "face", "ball", "mallet")
SEED = 2_000_000_000
FLUX_WINDOW_S, FLUX_HOP_S = 0.02, 0.005
SEAM_S = 0.03
_PEAK = """
import resource, sys
from mova.cli.app import main
code = main(["generate", "--prompt", "a ball", "--steps", "1", "--sampler", "euler", "--retries", "0", *sys.argv[1:]])
print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def say(text: str, file: TextIO = sys.stdout) -> None:
    """Write a line."""
    file.write(f"{text}\n")


def flux(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the spectral flux of samples (S,), one value every `FLUX_HOP_S`: how much louder the bands have become."""
    size, hop = round(FLUX_WINDOW_S * sample_rate), round(FLUX_HOP_S * sample_rate)
    frames = np.lib.stride_tricks.sliding_window_view(waveform, size)[::hop] * np.hanning(size)
    bands = np.log1p(100.0 * np.abs(np.fft.rfft(frames, axis=1)))
    return np.maximum(np.diff(bands, axis=0), 0.0).mean(axis=1)


def at(values: np.ndarray, time_s: float) -> float:
    """Return the largest flux around a time."""
    first = max(0, round((time_s - SEAM_S) / FLUX_HOP_S))
    return float(values[first : max(first + 1, round((time_s + SEAM_S) / FLUX_HOP_S))].max())


def drift(clip: Clip, first_s: float) -> float:
    """Return how far the colour of the upper corners has gone by the last quarter, in levels of 255."""
    begin = round(first_s * clip.frame_rate)
    height, width = clip.frames.shape[1] // 8, clip.frames.shape[2] // 8
    corners = np.concatenate([clip.frames[:, :height, :width], clip.frames[:, :height, -width:]], axis=2)
    colour = np.median(corners.reshape(len(corners), -1, 3).astype(np.float64), axis=1)
    return float(np.abs(colour[-len(colour) // 4 :].mean(0) - colour[:begin].mean(0)).max())


def make(model: str, count: int, out: Path, length_s: float, speed: str) -> list[Path]:
    """Render clips and continue them."""
    jobs, folder = [], None
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        sources = out / "sources" / kind
        # Not again: how a file is encoded depends on the number of cores.
        if not list(sources.glob(f"*{SEED + number}.json")):
            render_clips(1, SEED + number, sources, kind=kind)
        (truth,) = sources.glob(f"*{SEED + number}.json")
        (out / truth.name).write_bytes(truth.read_bytes())
        prompt = json.loads(truth.read_text())["caption"]
        choice = LongChoice(extend=truth.with_suffix(".mp4"), length_s=length_s)
        folder, request = make_request(model, ClipOptions(prompt=prompt, long=choice), folder=folder, speed=speed)
        jobs.append(Job(request, out / truth.with_suffix(".mp4").name))
    assert folder is not None, "there is a clip at least"
    generate_files(jobs, folder, keeps=True, on_note=lambda note: say(note, sys.stderr))
    return [job.output for job in jobs]


def peak_mb(seconds: float, model: str, out: Path) -> float:
    """Return the peak of the resident memory of a process that makes a long clip, one step for each window."""
    command = [sys.executable, "-c", _PEAK, "--model", model, "--length", str(seconds), "--output", str(out)]
    code, kilobytes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-2:]
    if code != "0":
        raise SystemExit(f"a clip of {seconds:g} s failed")
    return int(kilobytes) / 1024


def row(name: str, values: list[float], digits: int = 2) -> str:
    """Return a row: median, 95th percentile, largest, number."""
    shown = [np.median(values), np.percentile(values, 95), np.max(values)]
    return f"| {name} | {' | '.join(f'{value:.{digits}f}' for value in shown)} | {len(values)} |"


def main() -> None:
    """Make the clips, measure them and print the note."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mova-tiny")
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--times", type=float, default=8.0, help="length, in lengths of the first clip")
    parser.add_argument("--speed", default="fastest")
    parser.add_argument("--out", type=Path, default=Path("out/long"))
    parser.add_argument("--no-memory", action="store_true")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    length_s = (1 + 4 * round((49 * arguments.times - 1) / 4)) / 24
    made = make(arguments.model, arguments.clips, arguments.out, length_s, arguments.speed)
    seams, real, changes, usual, drifts = [], [], [], [], []
    for path in made:
        clip, told = read_clip(path, require_audio=True), read_metadata(path)
        assert clip.waveform is not None, "it is required"
        source = read_clip(next((arguments.out / "sources").glob(f"*/{path.name}")))
        assert source.waveform is not None, "rendered clips have audio"
        whole, own = flux(clip.waveform[0], clip.sample_rate), flux(source.waveform[0], source.sample_rate)
        begins = [float(one["begin_s"]) for one in told["windows"]]  # type: ignore[attr-defined, union-attr]
        seams += [at(whole, begin) for begin in begins]
        real += [at(own, time) for time in np.arange(0.1, source.duration_s - 0.1, 2 * SEAM_S)]
        steps = np.abs(np.diff(clip.frames.astype(np.float32), axis=0)).mean((1, 2, 3))
        places = [round(begin * clip.frame_rate) - 1 for begin in begins]
        changes += [float(steps[place]) for place in places]
        usual += np.abs(np.diff(source.frames.astype(np.float32), axis=0)).mean((1, 2, 3)).tolist()
        drifts.append(drift(clip, source.duration_s))
    say(f"# Long clips: {len(made)} clips of {length_s:.2f} s, {arguments.model}, --speed {arguments.speed}\n")
    say("| | median | 95 % | most | number |\n| --- | --- | --- | --- | --- |")
    say(row("spectral flux of real clips", real, 4))
    say(row("spectral flux where windows meet", seams, 4))
    say(row("change between frames of real clips, levels of 255", usual))
    say(row("change between frames where windows meet", changes))
    say(row("drift of the background's colour, levels of 255", drifts))
    if not arguments.no_memory:
        short, long = (peak_mb(seconds, arguments.model, arguments.out / "memory.mp4") for seconds in (4.2, 16.7))
        say(f"\nPeak memory: {short:.0f} MB for 101 frames, {long:.0f} MB for 401 ({long / short:.3f} times).")
    say(f"\n    {' '.join([Path(sys.executable).name, *sys.argv])}")


if __name__ == "__main__":
    main()
