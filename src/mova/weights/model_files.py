"""What is copied of a model: known files, plain names, nothing through links out of its folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from mova.errors import CheckpointError
from mova.files.inside import check_inside
from mova.weights.files import DIFFUSERS_STEM, TRANSFORMERS_STEM, weight_files
from mova.weights.known_files import COMPONENT_FILES, FOLDER_FILES, MODEL_FILES


def copy_model_files(source: Path, target: Path, folders: Mapping[str, Path]) -> None:
    """Copy what belongs to a model and is not written anew; whatever else lies there is left.

    Args:
        source: folder of a model, or of one component.
        target: folder to copy into.
        folders: folders of the components with weights, by name.

    Raises:
        CheckpointError: a file is a link out of the source.
    """
    for path, place in _pairs(source, target, folders):
        if path.is_file():
            check_inside(path, source, error=CheckpointError)
            place.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, place)


def check_links(source: Path, folders: Mapping[str, Path]) -> None:
    """Refuse a model of which any file that would be written again is a link out of it.

    Raises:
        CheckpointError: there is one; or weight files are missing.
    """
    for path, _ in _pairs(source, source, folders):
        check_inside(path, source, error=CheckpointError)
    for folder in folders.values():
        check_inside(folder / "config.json", source, error=CheckpointError)
        for stem in (DIFFUSERS_STEM, TRANSFORMERS_STEM):
            check_inside(folder / f"{stem}.safetensors.index.json", source, error=CheckpointError)
        for file in weight_files(folder)[1]:
            check_inside(file, source, error=CheckpointError)


def _pairs(source: Path, target: Path, folders: Mapping[str, Path]) -> Iterator[tuple[Path, Path]]:
    is_component = source in folders.values()
    for name in COMPONENT_FILES if is_component else MODEL_FILES:
        yield source / name, target / name
    if not is_component:
        named = {**FOLDER_FILES, **dict.fromkeys(folders, COMPONENT_FILES)}
        yield from ((source / part / name, target / part / name) for part, names in named.items() for name in names)
