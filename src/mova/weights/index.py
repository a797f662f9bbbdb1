"""What `model_index.json` says: the components of a model, their classes and their folders (no torch here)."""

from __future__ import annotations

from pathlib import Path

from mova.errors import CheckpointError
from mova.files.inside import check_plain_name
from mova.files.json_file import Fields, read_object, shorten
from mova.names import INDEX_FILE, NETWORKS, OPTIONAL_COMPONENTS, PUBLISHED_COMPONENTS
from mova.weights.config_limits import checked_config


def read_index(folder: Path) -> dict[str, object]:
    """Return `model_index.json`.

    Raises:
        CheckpointError: missing, not a JSON object, a component whose name is that of another folder, or a setting of
            another type.
    """
    index = read_object(folder / INDEX_FILE, error=CheckpointError)
    for name, entry in index.values.items():
        if isinstance(entry, (list, dict)):
            check_plain_name(name, f"{index.where}: the name of a component", error=CheckpointError)
    _check_settings(index)
    return dict(index.values)


def named_classes(folder: Path) -> dict[str, str]:
    """Return the class of each component that the index of a model names; none for a folder without an index.

    Raises:
        CheckpointError: as `read_index`, or an entry that is not [library, class].
    """
    if not (folder / INDEX_FILE).is_file():
        return {}
    classes = {}
    for name, entry in read_index(folder).items():
        if isinstance(entry, list) and any(part is not None for part in entry):
            if len(entry) != 2 or not all(isinstance(part, str) and part for part in entry):
                raise CheckpointError(f"{folder / INDEX_FILE}: {name} must be [library, class], got {shorten(entry)}")
            classes[name] = entry[1]
    return classes


def check_index(folder: Path, index: dict[str, object]) -> tuple[str, ...]:
    """Check that `model_index.json` names the published classes and that their folders exist.

    Returns:
        The components that are there.

    Raises:
        CheckpointError: a component is missing, has another class or no folder.
    """
    present = []
    for name, (_, expected) in PUBLISHED_COMPONENTS.items():
        entry = index.get(name)
        is_absent = entry is None or (isinstance(entry, list) and not any(entry))
        if is_absent and name in OPTIONAL_COMPONENTS:
            continue
        if is_absent:
            raise CheckpointError(f"{folder / INDEX_FILE} must name {name} ({expected}), got none")
        found = entry[1] if isinstance(entry, list) and len(entry) == 2 else entry
        if found != expected:
            raise CheckpointError(f"{name} in {folder / INDEX_FILE} must be a {expected}, got {shorten(found)}")
        if not (folder / name).is_dir():
            raise CheckpointError(f"a model directory must hold the folder {name}, not found in {folder}")
        present.append(name)
    return tuple(present)


def read_configs(folder: Path) -> dict[str, dict[str, object]]:
    """Return the config.json of every network that the index of a model names and whose folder has one.

    Raises:
        CheckpointError: as `named_classes`, or a config that is not a JSON object.
    """
    files = {name: folder / name / "config.json" for name in named_classes(folder) if name in NETWORKS}
    return {
        name: dict(read_object(file, error=CheckpointError).values) for name, file in files.items() if file.is_file()
    }


def checked_fields(folder: Path, name: str) -> Fields:
    """Return the config.json of a network, its values inside the limits of its class.

    Raises:
        CheckpointError: it cannot be read, or a value is of another type or out of range.
    """
    config = read_object(folder / name / "config.json", error=CheckpointError)
    return Fields(checked_config(PUBLISHED_COMPONENTS[name][1], config), config.where, config.error)


def _check_settings(index: Fields) -> None:
    if index.values.get("boundary_ratio") is not None:
        index.number("boundary_ratio", least=0, most=1)
    index.text("audio_vae_type", "dac")
