"""Small clips for evaluations, and scores that were made up."""

import numpy as np

from mova.evaluate.clips.item import ClipItem
from mova.evaluate.measure.plan import MeasurePlan
from mova.evaluate.measure.runner import Measured
from mova.media.write import write_clip
from mova.scorers.base import Findings, Score
from mova.scorers.registry import ScorerSettings
from mova.types import Clip


def write_clips(folder, count, seconds=0.5):
    """Write clips whose sound is louder from one to the next; return their items."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = round(seconds * 16_000)
    time = np.arange(samples) / 16_000
    items = []
    for index in range(count):
        sound = 0.8 * (index + 1) / count * np.sin(2 * np.pi * 440 * time)[None]
        frames = np.full((round(seconds * 24), 16, 16, 3), 40 + index, np.uint8)
        path = folder / f"clip_{index:03d}.mp4"
        write_clip(path, Clip(frames, sound.astype(np.float32), 24.0, 16_000))
        items.append(ClipItem(path.stem, path))
    return items


def plan_of(*names):
    """Return a plan of scorers without weights."""
    return MeasurePlan(names, ScorerSettings())


def made_up(plan, values, categories=None, embeddings=None):
    """Return clips with values of every measure of a plan; None in the place of a value gives a reason."""
    measured = []
    for index, value in enumerate(values):
        score = Score(None, "failed: made up: of this clip") if value is None else Score(value)
        findings = {
            name: Findings(
                {one.name: score for one in measures},
                embeddings={} if embeddings is None or value is None else {"made": embeddings[index]},
            )
            for name, measures in plan.measures.items()
        }
        category = "" if categories is None else categories[index]
        measured.append(Measured(ClipItem(f"c{index}", None, "a prompt", category), findings))
    return measured
