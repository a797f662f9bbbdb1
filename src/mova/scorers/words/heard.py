"""Whether what a prompt names that sounds is heard, by YAMNet's tags."""

from __future__ import annotations

from pathlib import Path

from mova.scorers.base import Absence, Direction, Findings, Measure, Needs, Score, all_absent
from mova.scorers.by_file.audio_tags import LEAST_PROBABILITY, SAMPLE_RATE, hear, tag_names
from mova.scorers.by_file.files import YAMNET_CLASSES, YAMNET_DATA, YAMNET_GRAPH
from mova.scorers.by_file.scorer import FileScorer
from mova.scorers.clip_media import ClipMedia
from mova.scorers.words.quotes import without_quotes
from mova.scorers.words.sound_words import named_sounds


class HeardScorer(FileScorer):
    """Share of the sounds that the prompt names which are among the tags of a moment.

    A prompt names what is seen too: a car that stands still is named and need not be heard. The measure compares models
    on the same prompts and is no judgement of one clip.

    Args:
        folder: with YAMNet's files; None where there is none.
    """

    name = "heard"
    measures = (
        Measure(
            "heard_share",
            "",
            Direction.HIGHER,
            "Share of what the prompt names that sounds which YAMNet hears; other networks give other figures.",
        ),
    )
    needs = Needs(
        audio=True,
        prompt=True,
        packages=("onnxruntime", "librosa"),
        weights=(YAMNET_GRAPH, YAMNET_DATA, YAMNET_CLASSES),
    )

    def find(self, clip: ClipMedia, folder: Path) -> Findings:
        """Return the share of a clip whose prompt names something that sounds."""
        wanted = named_sounds(without_quotes(clip.prompt))
        if not wanted:
            return all_absent(self.measures, Absence.NOT_APPLICABLE, "the prompt names nothing that is known to sound")
        sound = clip.waveform(SAMPLE_RATE)
        if not sound.any():
            return Findings({"heard_share": Score(0.0)})
        likely = hear(sound, folder)[0].max(axis=0)
        names = tag_names(folder)
        heard = {names[index] for index in range(len(names)) if likely[index] >= LEAST_PROBABILITY}
        found = [one for one in wanted if heard.intersection(one.tags)]
        return Findings({"heard_share": Score.of(len(found) / len(wanted))}, tags=tuple(one.name for one in found))
