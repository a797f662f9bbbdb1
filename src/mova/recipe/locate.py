"""Recipes by name: those that come with the package, and the one rule that tells a name from a path.

A text with a separator in it, or with the ending .yaml or .yml, is a path, and so is a `Path`. Every other text is the
name of a shipped recipe, whatever lies in the current folder under that name.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mova.errors import ConfigError
from mova.files.json_file import shorten, shorten_text
from mova.names import SHIPPED_MODELS

_RECIPES: Final = SHIPPED_MODELS / "recipes"
_ENDINGS: Final = (".yaml", ".yml")
_HISTORY: Final = SHIPPED_MODELS / "mova-tiny" / "history"
# Recipes of 0.1 that are shipped under another name.
_RENAMED: Final = {
    "tiny_all": "tiny",
    "tiny_all_text_encoder": "tiny_1_text_encoder",
    "tiny_all_video_autoencoder": "tiny_2_video_autoencoder",
    "tiny_all_audio_autoencoder": "tiny_3_audio_autoencoder",
    "tiny_all_audio_tower": "tiny_4_audio_tower",
    "tiny_all_phase1": "tiny_5_phase1",
    "tiny_all_phase2": "tiny_6_phase2",
    "tiny_all_phase3": "tiny_7_phase3",
    "tiny_all_publish": "tiny_8_publish",
}


@dataclass(frozen=True)
class ShippedRecipe:
    """A recipe that comes with the package.

    Attributes:
        name: what it is asked for by.
        path: path of its file.
        summary: first sentence that the file says of itself.
        ladder: name of the recipe of several stages that it belongs to, "" for one that stands by itself.
    """

    name: str
    path: Path
    summary: str
    ladder: str


def list_recipes(verb: str) -> list[ShippedRecipe]:
    """Return the shipped recipes of a verb by name, the stages of a run after the recipe that lists them.

    Args:
        verb: command that runs them, for example "train".
    """
    return [
        ShippedRecipe(path.stem, path, _summary(path), "" if path.parent.name == verb else path.parent.name)
        for path in _files(verb)
    ]


def find_recipe(recipe: str | Path, verb: str, beside: Path | None = None) -> Path:
    """Return the file of a recipe.

    Args:
        recipe: name of a shipped recipe, or path of a YAML file (the rule is above); it need not exist.
        verb: command that runs it, for example "train".
        beside: folder that a relative path starts from; the current folder if not given.

    Raises:
        ConfigError: no recipe is shipped under that name; all names and the nearest one are told.
    """
    if isinstance(recipe, Path) or _is_path(recipe):
        return Path(recipe) if beside is None else beside / recipe
    files = {path.stem: path for path in _files(verb)}
    if recipe in files:
        return files[recipe]
    near = difflib.get_close_matches(recipe, files, 1, cutoff=0.5) if len(recipe) < 80 else []
    hint = f"; did you mean {near[0]}?" if near else "."
    here = beside or Path()
    local = f" The file of that name here is ./{recipe}." if _is_file(here / recipe) else ""
    raise ConfigError(
        f"a recipe must be a name or the path of a YAML file, got the unknown name {shorten(recipe)}{hint} "
        f"Names: {', '.join(files)}. A path has a separator or ends in .yaml.{local}"
    )


def former_recipe(path: Path, verb: str) -> str:
    """Return what became of a recipe that an earlier version kept at a path which does not exist (any more).

    Returns:
        The end of an error text: the name to ask for now, or where the file lies; "" for a path that never was one.
    """
    if path.suffix not in _ENDINGS:
        return ""
    was_shipped = path.parts[-3:-1] == ("recipes", verb) or path.parts[-2:-1] == ("recipes",)
    old = path.stem
    if was_shipped and (_HISTORY / path.name).is_file():
        return (
            f"; {old} of 0.1 is part of how the shipped weights came about: {_HISTORY / path.name}. What makes such a "
            f"model from nothing is tiny: mova {verb} tiny"
        )
    if was_shipped and old.startswith("ablation_"):
        return f"; it lies beside the ablations in the repository: benchmarks/ablations/{path.name}"
    if was_shipped and old == "tiny_own_clips":
        return "; docs/guides/training.md writes one for clips of your own"
    name = _RENAMED.get(old, old) if was_shipped else old
    if any(file.stem == name for file in _files(verb)):
        return f"; {name} is a recipe that comes with the package: mova {verb} {name}"
    return ""


def _is_path(text: str) -> bool:
    separators = [sign for sign in ("/", os.sep, os.altsep) if sign]
    return any(sign in text for sign in separators) or text.lower().endswith(_ENDINGS)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # no name that a file may have
        return False


def _files(verb: str) -> Iterator[Path]:
    """Yield the files of a verb: by name, stages of a run after the recipe that lists them."""
    root = _RECIPES / verb
    for path in sorted(root.glob("*.yaml")):
        yield path
        yield from sorted((root / path.stem).glob("*.yaml"))


def _summary(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        line = file.readline().lstrip("# ").rstrip()
    return shorten_text(line.partition(". ")[0].rstrip(".:"), 200)
