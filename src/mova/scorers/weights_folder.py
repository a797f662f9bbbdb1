"""The folder of weights for scorers: where it is, what is missing in it, and what is not what it should be."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from mova.errors import ConfigError
from mova.scorers.base import Absence, Needs, WeightsFile

VARIABLE: Final = "MOVA_SCORER_WEIGHTS"
"""Environment variable that names the folder where a recipe does not."""

_EXTRAS: Final = {"faster_whisper": "whisper", "rapidfuzz": "evaluate"}
"""Extras of packages that do not come with `curate`."""


def find_folder(stated: str = "") -> Path | None:
    """Return the folder of weights, or None where none is named.

    Args:
        stated: as a recipe says; "" takes the environment variable MOVA_SCORER_WEIGHTS.

    Raises:
        ConfigError: a folder is named that does not exist.
    """
    name = stated or os.environ.get(VARIABLE, "")
    if not name:
        return None
    folder = Path(name).expanduser()
    if not folder.is_dir():
        way = "score.weights" if stated else VARIABLE
        raise ConfigError(
            f"{way} must be a folder with weights of scorers, got {folder}, which is none; "
            "tools/fetch_scorers.py makes one"
        )
    return folder.absolute()


def missing(needs: Needs, folder: Path | None) -> str:
    """Return the reason why a scorer has no weights, or "" where all are there."""
    absent = [file for file in needs.weights if folder is None or not (folder / file.name).is_file()]
    return "; ".join(f"{file.name}, from {file.source}, licence: {file.licence}" for file in absent)


def reason(needs: Needs, folder: Path | None) -> tuple[Absence, str] | None:
    """Return why a scorer cannot work here, or None where it can."""
    import importlib.util

    if needs.unchosen:
        return Absence.CHOICE, needs.unchosen
    packages = [name for name in needs.packages if importlib.util.find_spec(name) is None]
    if packages:
        extra = next((_EXTRAS[name] for name in packages if name in _EXTRAS), "curate")
        return Absence.PACKAGE, f"{', '.join(packages)} of the extra `{extra}`"
    text = missing(needs, folder)
    return (Absence.WEIGHTS, text) if text else None


def digests(files: Iterable[WeightsFile], folder: Path | None) -> Mapping[str, str]:
    """Return the SHA-256 of each file that is there, by its name.

    Raises:
        ConfigError: a file is not the one that the scorer was made for.
        OSError: a file cannot be read.
    """
    found = {}
    for file in files:
        if folder is None or not (folder / file.name).is_file():
            continue
        with (folder / file.name).open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if file.sha256 and digest != file.sha256:
            raise ConfigError(
                f"{file.name} must be the file of {file.source} with SHA-256 {file.sha256}, got {digest} in {folder}; "
                "tools/fetch_scorers.py fetches it"
            )
        found[file.name] = digest
    return found
