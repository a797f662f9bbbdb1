"""What is measured: scorers by name, and by which key the findings of each are known again."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from mova.errors import ConfigError
from mova.evaluate.clips.item import ClipItem
from mova.scorers.base import Measure
from mova.scorers.registry import ScorerSet, ScorerSettings, make_scorers

_RULES: Final[Mapping[str, int]] = {"synchrony": 2, "audio_tags": 2, "cnn14": 2}
"""By scorer; goes up when it gives other values for the same clip. 1 for one that never did."""
_PACKAGES: Final = ("av", "numpy", "torch", "transformers")
"""Distributions that every scorer may depend on, beside those that it names."""
_DISTRIBUTIONS: Final = {"cv2": "opencv-python-headless", "rapidocr": "rapidocr"}


@dataclass(frozen=True)
class MeasurePlan:
    """Scorers that are applied to clips.

    Attributes:
        names: of the scorers, in the order in which they are applied.
        settings: what is chosen of them.
        needed: those of them that were asked for by name: a file of another model is an error then.

    Raises:
        ConfigError: a name is unknown, or a file of weights of a scorer that is needed is damaged, or not the one that
            the scorer was made for.
    """

    names: tuple[str, ...]
    settings: ScorerSettings
    needed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _ = self.digests

    @cached_property
    def refused(self) -> Mapping[str, str]:
        """Scorers whose files of weights cannot be theirs, with what is wrong; no clip is given to them."""
        found = {}
        for name, scorer in self.scorers.items():
            try:
                scorer.check_weights()
            except ConfigError as error:
                if name in self.needed:
                    raise
                found[name] = str(error)
        return found

    @property
    def weights_sha256(self) -> Mapping[str, str]:
        """Digests of the files of weights that are applied, by their names."""
        applied = (scorer for name, scorer in self.scorers.items() if name not in self.refused)
        return {file: digest for scorer in applied for file, digest in scorer.weights_sha256.items()}

    @cached_property
    def scorers(self) -> Mapping[str, ScorerSet]:
        """Each scorer by itself."""
        return {name: make_scorers([name], self.settings) for name in self.names}

    @property
    def measures(self) -> Mapping[str, tuple[Measure, ...]]:
        """What each of them measures."""
        return {name: scorer.measures for name, scorer in self.scorers.items()}

    @cached_property
    def digests(self) -> Mapping[str, str]:
        """Of each scorer: its settings, its files of weights, and the versions that it depends on."""
        applied = {name: scorer for name, scorer in self.scorers.items() if name not in self.refused}
        return {name: _digest(name, scorer, self.settings) for name, scorer in applied.items()}

    def weights_of(self, name: str) -> Mapping[str, str]:
        """Return digests of the files of weights that a scorer applies, by their names."""
        return {} if name in self.refused else self.scorers[name].weights_sha256

    def keys(self, item: ClipItem, content: str) -> Mapping[str, str]:
        """Return the key that each scorer's findings of a clip are known by.

        Args:
            item: the clip.
            content: digest of its file.
        """
        prompt = hashlib.sha256(item.prompt.encode()).hexdigest()
        keys = {}
        for name in self.digests:
            scorer = self.scorers[name]
            told: tuple[str, ...] = (content, self.digests[name], prompt if scorer.reads_prompt else "")
            told += tuple(item.columns.get(column, "") for column in scorer.columns)
            keys[name] = hashlib.sha256("\0".join(told).encode()).hexdigest()[:40]
        return keys


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(name: str, scorer: ScorerSet, settings: ScorerSettings) -> str:
    own = {key: str(value) for key, value in asdict(settings).items() if key not in ("weights", "transcriber")}
    if scorer.reads_transcript and settings.transcriber is not None:
        own["transcriber"] = settings.transcriber.identity
    parts = {
        "rules": _RULES.get(name, 1),
        "scorer": name,
        # What was kept before a scorer gained one has no value of it.
        "finds": [*(one.name for one in scorer.measures), *(one.name for one in scorer.spaces)],
        "settings": own,
        # Where a file is missing its absence is what was found.
        "weights": {file.name: scorer.weights_sha256.get(file.name, "") for file in scorer.weights},
        "versions": {package: _version(package) for package in (*_PACKAGES, *scorer.packages)},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(_DISTRIBUTIONS.get(package, package))
    except importlib.metadata.PackageNotFoundError:
        return "none"
