"""What each metric sees and misses of clips spoilt by a known amount, on the toy world and on generated speech.

    .venv/bin/python benchmarks/bench_metrics_on_truth.py --clips 24 --seed 0 --out out/truth --weights .scorers
    .venv/bin/python benchmarks/bench_metrics_on_truth.py --clips 2 --speech 1 --voices vowels --out out/small

Clips of the toy world and drawn faces that speak (espeak-ng, or with `--voices vowels` the toy world's own vowels) are
spoilt: audio that is shifted, that lacks sounds, in other pitches, of other clips, in other voices, cut, with noise,
clipped, without high frequencies, quieter; video that is blurred, a mosaic, black, frozen, with a faded banner. All
scorers that are ready here measure all of them through `mova.evaluate`, the toy world's own score beside them. The same
command goes on where it was interrupted; more clips add to those that are there. The note goes to stdout, and with
`shift.svg` and `matrix.md` into the folder. How verdicts come about is in `metrics_on_truth/figures.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from metrics_on_truth.figures import Values
from metrics_on_truth.note import Family, matrix_of, note_of, plot_of_shift
from metrics_on_truth.sources import BannerClip, SpeechClip, ToyClip, espeak, vowels
from metrics_on_truth.spoiling import SPEECH_SOUND, TOY_SOUND, TOY_VIDEO, Spoiling, levels_of
from rich.console import Console
from rich.progress import Progress, track

from mova.errors import ConfigError
from mova.evaluate.clips.item import ClipItem
from mova.evaluate.clips.manifest import MANIFEST_NAME, write_manifest
from mova.evaluate.clips_run import evaluate_clips, make_evaluation, make_plan
from mova.evaluate.folder import open_evaluation
from mova.evaluate.scorer_list import list_scorers
from mova.media.write import write_clip
from mova.scorers.base import Direction, Measure
from mova.scorers.clip_media import ClipMedia
from mova.toyworld import score_clip
from mova.toyworld.score import count_events
from mova.types import Clip

LOOKS = ("image_faults", "motion", "text_area", "written", "faces", "nsfw", "dover", "video_reward")
LISTENS = (
    "levels",
    "spectrum",
    "sound_events",
    "speech_quality",
    "synchrony",
    "said",
    "cpcer",
    "heard",
    "audio_tags",
    "voice",
    "cnn14",
    "imagebind",
    "synchformer",
    "audiobox",
    "syncnet",
    "clap",
)
"""Scorers of which audio that is spoilt changes the findings; the others are applied to clips with spoilt video."""
TOY_MEASURES = (
    Measure("toy: in step", "", Direction.HIGHER, "Events that are seen and heard within one frame, of all of both."),
    Measure("toy: note", "", Direction.HIGHER, "Whether what is seen has its note or voice."),
    Measure("toy: order", "", Direction.HIGHER, "Whether all is seen and heard in the caption's order."),
)
Source = ToyClip | SpeechClip
STDERR = Console(stderr=True)
TOY_SIZE, BANNER_SIZE = 128, 256


@dataclass(frozen=True)
class Study:
    """Clips that are spoilt in the same ways, and measured by the same scorers.

    Attributes:
        name: of it, and of its folder.
        title: in the note.
        sources: the clips.
        spoilings: what is done to them.
        scorers: that may see it.
    """

    name: str
    title: str
    sources: tuple[Source, ...]
    spoilings: tuple[Spoiling, ...]
    scorers: tuple[str, ...]


def studies_of(options: argparse.Namespace) -> tuple[Study, ...]:
    """Return what is studied."""
    speak = espeak if options.voices == "espeak" else vowels
    first, count = options.seed * 1000, options.clips
    speech = max(1, count // 2) if options.speech is None else options.speech
    banners = max(1, count // 2) if options.banners is None else options.banners
    return (
        Study(
            "toy_audio",
            f"Toy world, {count} clips: audio spoilt",
            tuple(ToyClip(first + index, TOY_SIZE) for index in range(count)),
            TOY_SOUND,
            LISTENS,
        ),
        Study(
            "speech",
            f"A drawn face that speaks, {speech} clips: audio spoilt",
            tuple(SpeechClip(first + index, TOY_SIZE, speak) for index in range(speech)),
            SPEECH_SOUND,
            LISTENS,
        ),
        Study(
            "toy_video",
            f"Toy world under a banner, {banners} clips: video spoilt",
            tuple(BannerClip(first + index, BANNER_SIZE) for index in range(banners)),
            TOY_VIDEO,
            (*LOOKS, "synchrony"),
        ),
    )


def write_clips(study: Study, folder: Path) -> None:
    """Write every clip in every state, and their manifest; what is there already is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    items = []
    for source in track(study.sources, description=f"{study.name}: clips", console=STDERR):
        for name, level in levels_of(study.spoilings):
            path = folder / f"{source.id}__{name.replace(' ', '_')}__{level:g}.mp4"
            items.append(ClipItem(_id(source, name, level), path, source.prompt, source.kind))
            if not path.is_file():
                write_clip(path, source.clip(name, level), preset="veryfast", source_type="algorithmicMedia")
    write_manifest(folder / MANIFEST_NAME, items)


def measure(study: Study, out: Path, weights: str) -> tuple[tuple[Measure, ...], dict[str, Mapping[str, float]]]:
    """Return the measures of all scorers that are ready here, and their values by clip and measure."""
    listed = {one.name: one for one in list_scorers(weights)}
    ready = [name for name in study.scorers if listed[name].state == "ready"]
    request = make_evaluation(out / "clips" / study.name, make_plan(ready, weights))
    with open_evaluation(out / "scores" / study.name) as folder, Progress(console=STDERR) as bars:
        bar = bars.add_task(f"{study.name}: scores")
        found = evaluate_clips(
            request, folder, on_progress=lambda done, total: bars.update(bar, completed=done, total=total)
        )
    measures = tuple(one for name in ready for one in listed[name].measures)
    return measures, {clip.id: clip.scores for clip in found.results.clips}


def toy_truth(study: Study, out: Path) -> dict[str, dict[str, float]]:
    """Return what the toy world's own score says of each clip, by clip and measure; kept in `toy.jsonl`."""
    kept = out / "scores" / study.name / "toy.jsonl"
    known: dict[str, dict[str, float]] = {}
    if kept.is_file():
        for line in kept.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue  # cut short by an interruption
            known[entry["id"]] = entry["values"]
    folder = out / "clips" / study.name
    with kept.open("a", encoding="utf-8") as file:
        for source in track(study.sources, description=f"{study.name}: truth", console=STDERR):
            assert isinstance(source, ToyClip), "only the toy world has a truth"
            for name, level in levels_of(study.spoilings):
                clip_id = _id(source, name, level)
                if clip_id not in known:
                    path = folder / f"{source.id}__{name.replace(' ', '_')}__{level:g}.mp4"
                    known[clip_id] = _toy_values(source, ClipMedia(path))
                    file.write("\n" + json.dumps({"id": clip_id, "values": known[clip_id]}))
                    file.flush()
    return known


def _toy_values(source: ToyClip, media: ClipMedia) -> dict[str, float]:
    clip = Clip(media.frames(), media.channels(16_000), media.frame_rate, 16_000)
    score = score_clip(source.scene, clip)
    counts = count_events(score)
    values = {
        "toy: in step": (counts.seen_matched + counts.heard_matched) / (counts.seen + counts.heard),
        "toy: note": float(score.pitch_right),
    }
    return values if score.order_right is None else {**values, "toy: order": float(score.order_right)}


def family_of(study: Study, out: Path, weights: str) -> Family:
    """Write, measure and gather the clips of a study."""
    write_clips(study, out / "clips" / study.name)
    measures, scores = measure(study, out, weights)
    found = {clip: dict(values) for clip, values in scores.items()}
    if study.name == "toy_audio":
        measures = (*TOY_MEASURES, *measures)
        for clip, values in toy_truth(study, out).items():
            found.setdefault(clip, {}).update(values)
    values = {one.name: _values(one.name, study, found) for one in measures}
    kinds = tuple(source.kind for source in study.sources)
    return Family(study.title, study.spoilings, measures, values, kinds)


def _values(measure: str, study: Study, found: Mapping[str, Mapping[str, float]]) -> tuple[Values, ...]:
    rows = []
    for source in study.sources:
        by_state = {}
        for name, level in levels_of(study.spoilings):
            value = found.get(_id(source, name, level), {}).get(measure)
            if value is not None:
                by_state[name, level] = value
        rows.append(by_state)
    return tuple(rows)


def _id(source: Source, name: str, level: float) -> str:
    return f"{source.id}/{name}/{level:g}"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=24, help="of the toy world, with spoilt audio")
    parser.add_argument("--speech", type=int, help="of faces that speak; by default half as many")
    parser.add_argument("--banners", type=int, help="of the toy world, with spoilt video; by default half as many")
    parser.add_argument("--seed", type=int, default=0, help="of the clips: those of one seed are not in another")
    parser.add_argument("--out", type=Path, default=Path("out/metrics_on_truth"), help="folder that keeps everything")
    parser.add_argument("--weights", default="", help="folder that `make scorers` filled")
    parser.add_argument("--voices", choices=("espeak", "vowels"), default="espeak")
    parser.add_argument("--only", help="one of the studies: toy_audio, speech, toy_video")
    chosen = parser.parse_args(arguments)
    for name, least in (("clips", 2), ("speech", 1), ("banners", 1), ("seed", 0)):
        value = getattr(chosen, name)
        if value is not None and not least <= value <= 1000:
            parser.error(f"--{name} must be {least} to 1000, got {value}; nearest is {min(max(value, least), 1000)}")
    return chosen


def main(arguments: Sequence[str] | None = None) -> None:
    """Make clips, measure them, print a note."""
    options = _parse(arguments)
    weights = options.weights or os.environ.get("MOVA_SCORER_WEIGHTS", "")
    studies = [study for study in studies_of(options) if options.only in (None, study.name)]
    if not studies:
        raise SystemExit(f"--only must be toy_audio, speech or toy_video, got {options.only!r}")
    try:
        families = [family_of(study, options.out, weights) for study in studies]
    except ConfigError as error:
        raise SystemExit(str(error)) from error
    skipped = {one.name: one.state for one in list_scorers(weights) if one.state != "ready"}
    note = note_of(families, skipped)
    (options.out / "note.md").write_text(note, encoding="utf-8")
    (options.out / "matrix.md").write_text(matrix_of(families), encoding="utf-8")
    (options.out / "shift.svg").write_text(plot_of_shift(families), encoding="utf-8")
    sys.stdout.write(note)


if __name__ == "__main__":
    main()
