"""Whether free wordings, in English and Chinese, become clips of `mova-tiny` that show and sound what they ask for.

    .venv/bin/python benchmarks/bench_enhance.py

Each of the forty wordings of `free_wordings.jsonl` is enhanced without an endpoint; the model gets the caption and the
first frame that come of it, and the toy world's detectors judge the clip. A clip is right where something is seen and
something is heard and every thing that the wording names is right: the kind of scene, colours, floor, notes, vowels,
speakers, who is first, voices, size, height, wall. It is strictly right where all measures of the toy world are.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mova.evaluate.subject import Shape, generate
from mova.generate.enhance.run import enhance
from mova.pipeline.load import load_pipeline
from mova.settings.speed import SPEEDS
from mova.toyworld import ClipScore, Scene, render, score_clip
from mova.toyworld.asked.ask import ask_scene
from mova.weights.locate import find_model

WORDINGS = Path(__file__).with_name("free_wordings.jsonl")
ALL = ("material_right", "pitch_right", "order_right", "vowel_right", "speaker_right", "place_right", "landing_right")
ALL += ("colour_right", "size_kept", "background_kept", "start_kept")
# What a wording can name, and the measures that say whether a clip has it; "" stands for all kinds of scene.
JUDGED: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("", "colour"): ("colour_right",),
    ("", "colours"): ("colour_right",),
    ("mallet", "colours"): ("order_right", "colour_right"),
    ("", "hat"): ("colour_right",),
    ("", "hats"): ("colour_right",),
    ("", "material"): ("material_right",),
    ("", "notes"): ("order_right", "material_right"),
    ("", "vowels"): ("order_right", "vowel_right"),
    ("", "count"): ("order_right",),
    ("", "sides"): ("speaker_right",),
    ("", "first_side"): ("order_right",),
    ("", "voice"): ("pitch_right",),
    ("", "size"): ("size_kept",),
    ("", "height_word"): ("landing_right",),
    ("", "background"): ("background_kept",),
}


@dataclass(frozen=True)
class Wording:
    """A free wording and what it asks for.

    Attributes:
        language: "en" or "zh".
        text: the wording.
        asked: its kind of scene, and what it names of it by the scene's attributes; `count` is the length of its row.
    """

    language: str
    text: str
    asked: Mapping[str, Any]


def read_wordings() -> list[Wording]:
    """Return the forty wordings."""
    return [Wording(**json.loads(line)) for line in WORDINGS.read_text(encoding="utf-8").splitlines()]


def differences(scene: Scene | None, asked: Mapping[str, Any]) -> list[str]:
    """Return in which things that were asked for a scene differs."""
    if scene is None or scene.kind != asked["kind"]:
        return [f"kind {scene and scene.kind} in place of {asked['kind']}"]
    return [
        f"{name} {found} in place of {value}"
        for name, value in asked.items()
        if name != "kind" and (found := _found(scene, name)) != value
    ]


def _found(scene: Scene, name: str) -> object:
    if name == "count":
        return len(next(getattr(scene, row) for row in ("bars", "keys", "vowels") if hasattr(scene, row)))
    value = getattr(scene, name)
    return list(value) if isinstance(value, tuple) else value


def missed(score: ClipScore, asked: Mapping[str, Any], *, strict: bool = False) -> list[str]:
    """Return which measures of a clip are not as they were asked for."""
    named = ALL if strict else [measure for name in asked if name != "kind" for measure in _judged(asked["kind"], name)]
    found = [name for name in dict.fromkeys(named) if getattr(score, name) is False]
    found += ["nothing_seen"] if score.nothing_seen else []
    return found + (["nothing_heard"] if score.nothing_heard else [])


def _judged(kind: str, name: str) -> tuple[str, ...]:
    return JUDGED.get((kind, name)) or JUDGED["", name]


def measure(
    model: str, speed: str, seed: int, wordings: list[Wording]
) -> Iterator[tuple[Wording, list[str], list[str]]]:
    """Make a clip of each wording; yield what of it is wrong, as it was asked for and strictly."""
    pipeline = load_pipeline(find_model(model))
    pipeline.set_progress_bar_config(disable=True)
    chosen = pipeline.defaults
    shape = Shape(chosen.height, chosen.num_frames, chosen.frame_rate, pipeline.codec_geometry.sample_rate)
    for wording in wordings:
        scene = ask_scene(wording.text).scene
        settings = enhance(wording.text, model=model).settings
        wrong = differences(scene, wording.asked)
        if wrong or scene is None:
            yield wording, wrong, wrong
            continue
        clip = generate(pipeline, render(scene, **vars(shape)), "frame", seed, settings, speed)
        score = score_clip(scene, clip)
        yield wording, missed(score, wording.asked), missed(score, wording.asked, strict=True)


def main() -> int:
    """Print a line for each clip and the totals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mova-tiny")
    parser.add_argument("--speed", default="exact", choices=list(SPEEDS))
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    begun, rows = time.process_time(), []
    for row in measure(chosen.model, chosen.speed, chosen.seed, read_wordings()):
        rows.append(row)
        wording, wrong, strictly = row
        said = "wrong: " + ", ".join(wrong) if wrong else "right"
        more = f" (strictly: {', '.join(strictly)})" if strictly and not wrong else ""
        sys.stdout.write(f"{wording.language} {said}{more} | {wording.text}\n")
        sys.stdout.flush()
    for language in ("en", "zh"):
        own = [row for row in rows if row[0].language == language]
        right, strict = (sum(not row[at] for row in own) for at in (1, 2))
        sys.stdout.write(f"{language}: {right} of {len(own)} right, {strict} strictly\n")
    right, strict = (sum(not row[at] for row in rows) for at in (1, 2))
    sys.stdout.write(f"all at {chosen.speed}, seed {chosen.seed}: {right} of {len(rows)} right, {strict} strictly; ")
    sys.stdout.write(f"{time.process_time() - begun:.0f} s of one processor\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
