"""What stage 1 of curation costs beside a plain transcode of the same footage, and which of its steps take it.

    .venv/bin/python benchmarks/bench_curate_cut.py > benchmarks/results/curate_cut_<machine>_<yyyymm>.md
    .venv/bin/python benchmarks/bench_curate_cut.py --source footage.mp4
    .venv/bin/python benchmarks/bench_curate_cut.py --hours 10

Without `--source`, footage in 1920x1080 at 24 frames per second is made: shots of a texture that moves, with noise.
The plain transcode decodes all of it with PyAV, scales to 1280x720 and encodes with the same settings of x264 and AAC,
on one thread as stage 1 does. Both take turns in one process, in processor seconds; a figure is the median of the
rounds. "Rate" is seconds of product per processor second; the share of the plain rate that stage 1 reaches is what
counts, since it holds on any machine.

`--hours` makes a long file of 160x90 instead, cuts 20 windows of it by the stage as it runs, and says how much memory
the process took that decodes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from statistics import median

import av
import numpy as np
import psutil
import torch
from rich.console import Console

from mova.bench.machine import describe_machine
from mova.bench.peak import watched
from mova.curate.config.cut import CutSection
from mova.curate.config.source import SourceSection
from mova.curate.cut.examine import inspect_source
from mova.curate.cut.listing import list_sources
from mova.curate.cut.speech import SAMPLE_RATE, SpeechRules, find_speech
from mova.curate.cut.stage import CutStage, close_guard
from mova.curate.cut.storage import fetched
from mova.curate.cut.windows import Footage, plan_windows
from mova.curate.records import State
from mova.curate.stage import Unit
from mova.curate.units import unit_of_source
from mova.media.measures.shots import AdaptiveShots
from mova.media.transcode.clips import ClipWindow, SourceView, cut_clips
from mova.media.transcode.listen import listen
from mova.media.transcode.survey import survey_video
from mova.media.transcode.verify import verify_clip

STEPS = ("hash", "probe", "shots", "speech", "plan", "transcode", "verification")


@dataclass
class Round:
    """Processor seconds of each step of stage 1, and seconds of product."""

    steps: dict[str, float] = field(default_factory=dict)
    product_s: float = 0.0

    @property
    def total_s(self) -> float:
        return sum(self.steps.values())


def make_footage(path: Path, seconds: float) -> None:
    """Write 1080p footage: shots of twenty seconds, with noise, and noise to hear."""
    random = np.random.default_rng(0)
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=24, options={"preset": "veryfast", "crf": "20"})
        video.width, video.height, video.pix_fmt = 1920, 1080, "yuv420p"
        audio = file.add_stream("aac", rate=48_000, layout="stereo")
        noise = random.normal(0, 3, (1080 + 64, 1920 + 64)).astype(np.float32)
        scene = np.zeros(0)
        for index in range(round(seconds * 24)):
            if index % (24 * 20) == 0:
                coarse = random.integers(0, 256, (36, 64)).astype(np.float32)
                scene = np.kron(coarse, np.ones((34, 34), np.float32))[: 1080 + 64, : 1920 + 64]
                for axis in (0, 1):
                    scene = sum(np.roll(scene, step, axis) for step in range(-8, 9)) / 17
            x, y = index % 64, (index // 3) % 64
            dx, dy = random.integers(0, 64, 2)
            luma = scene[y : y + 1080, x : x + 1920] + noise[dy : dy + 1080, dx : dx + 1920]
            planes = np.full((1620, 1920), 128, np.uint8)
            planes[:1080] = np.clip(luma, 16, 235)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 24)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
        samples = np.repeat(random.normal(0, 0.1, (1, round(seconds * 48_000))).astype(np.float32), 2, axis=0)
        for first in range(0, samples.shape[1], 1024):
            part = np.ascontiguousarray(samples[:, first : first + 1024])
            piece = av.AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
            piece.sample_rate, piece.pts, piece.time_base = 48_000, first, Fraction(1, 48_000)
            file.mux(audio.encode(piece))
        file.mux(audio.encode(None))


def plain_transcode(source: Path, target: Path, cut: CutSection) -> float:
    """Transcode all of a source the plain way; return the seconds of the result."""
    options = {"preset": cut.preset, "crf": f"{cut.crf:g}", "threads": "1"}
    with av.open(str(source)) as given, av.open(str(target), "w") as made:
        given.streams.video[0].thread_count = 1
        video = made.add_stream("libx264", rate=24, options=options)
        video.width, video.height, video.pix_fmt = cut.width, cut.height, "yuv420p"
        audio = made.add_stream("aac", rate=cut.sample_rate, layout="stereo")
        audio.bit_rate = 2000 * cut.audio_kbps
        count = 0
        for frame in given.decode(given.streams.video[0], given.streams.audio[0]):
            if isinstance(frame, av.VideoFrame):
                made.mux(video.encode(frame.reformat(width=cut.width, height=cut.height, format="yuv420p")))
                count += 1
            else:
                made.mux(audio.encode(frame))
        made.mux(video.encode(None))
        made.mux(audio.encode(None))
    return count / 24


def timed(call: Callable[[], object]) -> tuple[float, object]:
    begin = time.process_time()
    result = call()
    return time.process_time() - begin, result


def stage_one(source: Path, folder: Path, stage: CutStage) -> Round:
    """Do what the stage does, step by step in this process."""
    found, wanted = Round(), stage.wanted

    def step(name: str, call: Callable[[], object]) -> object:
        seconds, result = timed(call)
        found.steps[name] = found.steps.get(name, 0.0) + seconds
        return result

    def digest() -> str:
        with fetched(str(source), folder, "u", most_bytes=1 << 36, keep_free_bytes=0) as fetched_source:
            return fetched_source.sha256

    sha256 = str(step("hash", digest))
    step("probe", lambda: inspect_source(source, wanted))
    finder = AdaptiveShots(wanted.shot_threshold, wanted.min_shot_frames)
    survey = step("shots", lambda: survey_video(source, finder.width, finder.add))
    cuts = tuple(survey.frames[index] for index in finder.cuts())
    spans = step("speech", lambda: find_speech(listen(source, SAMPLE_RATE), SpeechRules()))
    speech = tuple((round(a / survey.tick), round(b / survey.tick)) for a, b in spans)
    footage = Footage(survey.frames, survey.parts, cuts, speech)
    windows = step("plan", lambda: plan_windows(footage, stage.rules(survey.tick), sha256))
    jobs = [ClipWindow(window.start * survey.tick, folder / f"{number}.mp4") for number, window in enumerate(windows)]
    results = step("transcode", lambda: cut_clips(source, jobs, stage.form, SourceView(survey.box)))
    assert not any(result.error for result in results), results
    checked, _ = timed(lambda: [verify_clip(job.target, stage.form) for job in jobs])
    # The transcode verifies each of its clips; the same is done again to know how long that takes.
    found.steps["verification"] = checked
    found.steps["transcode"] -= checked
    found.product_s = len(jobs) * float(stage.form.duration)
    return found


def make_long(path: Path, hours: float) -> None:
    """Write a long file in 160x90 at 24 frames per second with a tone, holding a second of packets at a time."""
    rows, columns = np.mgrid[0:90, 0:160]
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=24, options={"preset": "ultrafast", "crf": "30"})
        video.width, video.height, video.pix_fmt = 160, 90, "yuv420p"
        audio = file.add_stream("aac", rate=16_000, layout="mono")
        tone = (0.2 * np.sin(np.arange(16_000) / 9)).astype(np.float32)[None]
        for second in range(round(hours * 3600)):
            for index in range(24):
                planes = np.full((135, 160), 128, np.uint8)
                planes[:90] = 16 + (rows * (1 + second // 30 % 7) + columns + index + 24 * second) % 200
                frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
                frame.pts, frame.time_base = 24 * second + index, Fraction(1, 24)
                file.mux(video.encode(frame))
            for first in range(0, 16_000, 1000):
                piece = av.AudioFrame.from_ndarray(tone[:, first : first + 1000].copy(), format="fltp", layout="mono")
                piece.sample_rate, piece.pts, piece.time_base = 16_000, 16_000 * second + first, Fraction(1, 16_000)
                file.mux(audio.encode(piece))
        file.mux(video.encode(None))
        file.mux(audio.encode(None))


def cut_long(out: Console, folder: Path, hours: float) -> None:
    """Run stage 1 on a long file, and say what it took."""
    films = folder / "films"
    films.mkdir()
    make_long(films / "long.mkv", hours)
    stage = CutStage(SourceSection(folder=str(films)), CutSection(most_windows=20, preset="veryfast"))
    (record,) = list_sources(stage.source)
    begin = time.perf_counter()
    with watched(lambda: [child.pid for child in psutil.Process().children()], every_s=0.2) as peak:
        rows = stage.run(Unit(unit_of_source(record.uri), record), folder / "out")
    seconds = time.perf_counter() - begin
    close_guard()
    kept = sum(clip.state is State.KEPT for clip in rows.clips)
    out.print(f"{hours:g} h at 160x90: {kept} of {len(rows.clips)} clips, {rows.source.state} {rows.source.reasons}")
    out.print(f"{seconds:.0f} s; most memory of the process that decodes: {peak.bytes / 2**20:.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the footage that is made")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--preset", default="medium")
    parser.add_argument("--hours", type=float, help="cut a file of that length instead, and measure memory")
    arguments = parser.parse_args()
    out = Console(width=120)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.hours:
            cut_long(out, folder, arguments.hours)
            return
        source = arguments.source or folder / "footage.mp4"
        if arguments.source is None:
            make_footage(source, arguments.seconds)
        stage = CutStage(SourceSection(folder=str(source.parent)), CutSection(preset=arguments.preset))
        rounds, plain = [], []
        for _ in range(arguments.rounds):
            seconds, product_s = timed(lambda: plain_transcode(source, folder / "plain.mp4", stage.cut))
            plain.append(float(product_s) / seconds)
            rounds.append(stage_one(source, folder, stage))
        report(out, stage, rounds, plain)


def report(out: Console, stage: CutStage, rounds: list[Round], plain: list[float]) -> None:
    ours = [one.product_s / one.total_s for one in rounds]
    ratio = median(mine / other for mine, other in zip(ours, plain, strict=True))
    out.print("# Stage 1 of curation beside a plain transcode\n")
    machine = describe_machine(torch.device("cpu"))
    out.print(
        f"{machine.cpu}, {machine.cores} cores; x264 preset {stage.cut.preset}, crf {stage.cut.crf:g}, one thread.\n"
    )
    out.print(f"{rounds[0].product_s:.1f} s of product a round, {len(rounds)} rounds in turns, processor seconds.\n")
    out.print("| | seconds of product per processor second |\n| --- | --- |")
    out.print(f"| plain transcode | {median(plain):.3f} |\n| stage 1 | {median(ours):.3f} |")
    out.print(f"| **stage 1 of plain** | **{ratio:.3f}** |\n")
    out.print("| step | share |\n| --- | --- |")
    for name in STEPS:
        out.print(f"| {name} | {median(one.steps[name] / one.total_s for one in rounds):.1%} |")


if __name__ == "__main__":
    main()
