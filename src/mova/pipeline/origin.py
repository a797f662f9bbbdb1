"""What a clip says of its origin, as one JSON object in the file, and what to ask for to make it again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mova.checks import check_precision
from mova.errors import ConfigError, ReadError
from mova.files.json_file import Fields, as_fields, parse_json, shorten
from mova.kernels.linear_choice import AUTO, PLAIN, LinearChoice
from mova.settings.sampling import GivenSettings
from mova.version import package_version
from mova.weights.lora.source import find_lora

INPUTS = ("image", "last_image", "video", "audio")
# What of a record says where and with what versions a clip was made, not which clip it is.
CIRCUMSTANCES = (
    "asked_seed",
    "collapse",
    "compiled",
    "device",
    "ended",
    "enhancement",
    "kernels",
    "kept_streams",
    "precision",
    "mova",
    "versions",
    "windows",
)
_PACKAGES = ("torch", "diffusers", "transformers", "av", "numpy")


@dataclass(frozen=True)
class RecordedFile:
    """A file that a clip was made from.

    Attributes:
        file: its name, without a folder.
        sha256: of its content; None where the clip does not say (0.1).
        scale: of a LoRA.
    """

    file: str
    sha256: str | None = None
    scale: float = 1.0


@dataclass(frozen=True)
class Origin:
    """How a clip was made, as its file says.

    Attributes:
        path: of the clip.
        model, weights_sha256: name and fingerprint of the model.
        prompt, negative_prompt, seed, index, start_s: of the request.
        settings: as far as the clip says.
        inputs: files by the request's fields.
        loras: in their order, that of few steps included.
        quantization: of the large weights; None for none.
        kernels: of linear layers on a CPU, auto or plain; clips of earlier releases were made with plain ones.
        linears: what auto took there; None with plain.
        enhancement: how the prompt came from what the user wrote, as the clip says; None where it was not enhanced.
        long: how it became longer than a window, as the clip says; None where it is none.
        extend: the clip that it goes on from, or None.
        keyframes: images by their seconds.
        retakes: spans that were made anew, as the command writes them.
        only, fit: as the command takes them; None where the clip does not say.
        precision: that was computed in; None where the clip does not say and was not made on a CPU.
    """

    path: Path
    model: str
    weights_sha256: str | None
    prompt: str
    negative_prompt: str
    seed: int
    index: int
    start_s: float
    settings: GivenSettings
    inputs: Mapping[str, RecordedFile]
    loras: tuple[RecordedFile, ...]
    quantization: str | None
    precision: str | None = None
    kernels: str = PLAIN
    linears: LinearChoice | None = None
    enhancement: Fields | None = None
    long: Fields | None = None
    extend: RecordedFile | None = None
    keyframes: tuple[tuple[float, RecordedFile], ...] = ()
    retakes: tuple[str, ...] = ()
    only: str | None = None
    fit: str | None = None


def origin_of_versions() -> dict[str, object]:
    """Return with which versions a clip is made."""
    return {"mova": package_version(), "versions": _versions()}


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, or of the files of a LoRA's folder with their names.

    Raises:
        ReadError: it cannot be read.
    """
    try:
        if not path.is_dir():
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        source = find_lora(path)
        digest = hashlib.sha256()
        for part in (source.weights, source.config):
            if part is not None:
                digest.update(f"{part.name}\0{file_sha256(part)}\0".encode(errors="surrogateescape"))
        return digest.hexdigest()
    except OSError as error:
        raise ReadError(f"{path} must be a file that can be read: {error.strerror}") from error


def is_same_clip(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Say whether two records are of the same clip, wherever and with whatever versions it was made."""
    # A clip that was made again with another seed is the one that was asked for.
    asked = [{**record, "seed": record["asked_seed"]} if "asked_seed" in record else record for record in (one, other)]
    kept = [{key: value for key, value in record.items() if key not in CIRCUMSTANCES} for record in asked]
    return kept[0] == kept[1]


def read_origin(path: Path) -> Origin:
    """Read how a clip was made; clips of version 0.1, whose record has JSON inside of JSON, too.

    Raises:
        ReadError: no file that can be opened.
        ConfigError: a file that says nothing of it, or what cannot be used.
    """
    from mova.media.write import read_metadata

    record = Fields(read_metadata(path), f"metadata of {path}", ConfigError)
    if "prompt" not in record or "settings" not in record:
        raise ConfigError(f"from must be a clip that mova generate made, whose metadata says how; got {path} without")
    listed = _inner(record, "loras") if "loras" in record else []
    if not isinstance(listed, list):
        raise ConfigError(f"{record.where}: loras must be a list, got {shorten(listed)}")
    loras = [as_fields(one, f"{record.where}: loras", error=ConfigError) for one in listed]
    return Origin(
        path=path,
        model=record.text("model"),
        weights_sha256=record.text("weights_sha256") if "weights_sha256" in record else None,
        prompt=record.text("prompt"),
        negative_prompt=record.text("negative_prompt", ""),
        seed=_number(record, "seed"),
        index=_number(record, "index"),
        start_s=record.number("start_s", 0.0, least=0.0),
        settings=_settings(record),
        inputs={name: _recorded(record, name) for name in INPUTS if name in record},
        loras=tuple(
            RecordedFile(_plain_name(one, "file"), one.text("sha256"), one.number("scale", 1.0)) for one in loras
        ),
        quantization=record.text("quantization") if "quantization" in record else None,
        precision=recorded_precision(record.values, record.where),
        enhancement=record.fields("enhancement") if "enhancement" in record else None,
        long=record.fields("long") if "long" in record else None,
        extend=_recorded(record, "extend") if "extend" in record else None,
        keyframes=tuple(
            (one.number("time_s"), RecordedFile(_plain_name(one, "file"), one.text("sha256")))
            for one in (
                as_fields(found, f"{record.where}: keyframes", error=ConfigError)
                for found in record.list("keyframes", [])
            )
        ),
        retakes=tuple(record.texts("retake", [])),
        only=record.text("only") if "only" in record else None,
        fit=record.text("fit") if "fit" in record else None,
        **_kernels(record),
    )


def recorded_precision(record: Mapping[str, object], where: str) -> str | None:
    """Return what a clip was computed in; before clips said so, a CPU computed in float32. None where it is not known.

    Raises:
        ConfigError: a precision that there is not.
    """
    if "precision" in record:
        return check_precision(str(record["precision"]), f"{where}: precision")
    return "float32" if str(record.get("device", "")).split()[-1:] == ["cpu"] else None


def find_recorded(what: str, recorded: RecordedFile, origin: Origin, folders: Sequence[Path]) -> Path:
    """Find a file that a clip was made from, by its name in these folders and by its content.

    Args:
        what: name of the option that gives it, for the error.
        recorded: name and hash.
        origin: of the clip.
        folders: where to look; the first that has it counts.

    Raises:
        ReadError: it is in none of them, or has changed.
    """
    changed = None
    for path in (folder / recorded.file for folder in folders):
        if path.exists():
            found = file_sha256(path)
            if recorded.sha256 in (None, found):
                return path
            changed = changed or (path, found)
    wanted = f"sha256 {recorded.sha256}" if recorded.sha256 else "its sha256 is not recorded"
    option = what.replace("_", "-")
    if changed is not None:
        raise ReadError(
            f"{option} must be the file that {origin.path.name} was made from, {recorded.file} ({wanted}), got "
            f"{changed[0]} with sha256 {changed[1]}; give another with --{option}"
        )
    looked = " or ".join(dict.fromkeys(str(folder) for folder in folders))
    raise ReadError(
        f"{option} must be the file that {origin.path.name} was made from, {recorded.file} ({wanted}), which is not "
        f"in {looked}; give it with --{option}"
    )


def _inner(record: Fields, key: str) -> Any:
    """Return a value that version 0.1 kept as text with JSON in it."""
    value = record.values[key]
    return parse_json(value, f"{record.where}: {key}", error=ConfigError) if isinstance(value, str) else value


def _settings(record: Fields) -> GivenSettings:
    """Return the settings of a clip; before clips said so, what was given whole was held clean."""
    stored = as_fields(_inner(record, "settings"), f"{record.where}: settings", error=ConfigError)
    read = GivenSettings.read(stored)
    return read if "hold_noise" in stored else replace(read, hold_noise=0.0)


def _number(record: Fields, key: str) -> int:
    value = record.values.get(key, 0)
    if isinstance(value, str) and value.isdecimal() and len(value) < 30:
        return int(value)
    return record.integer(key, 0, least=0)


def _recorded(record: Fields, name: str) -> RecordedFile:
    if isinstance(record.values[name], str):
        return RecordedFile(_plain_name(record, name))
    inner = record.fields(name)
    return RecordedFile(_plain_name(inner, "file"), inner.text("sha256"))


def _kernels(record: Fields) -> dict[str, Any]:
    """Return the kernels that a clip says it was made with: a word, or with auto what was taken."""
    found = record.values.get("kernels", PLAIN)
    if found == PLAIN:
        return {"kernels": PLAIN}
    return {"kernels": AUTO, "linears": LinearChoice.read(record.fields("kernels"))}


def _plain_name(record: Fields, key: str) -> str:
    """Return a name without a folder: what a clip says must not lead to other places."""
    name = record.text(key)
    if not name or name in (".", "..") or any(letter in name for letter in "/\\\0"):
        raise ConfigError(f"{record.where}: {key} must be the plain name of a file, got {shorten(name)}")
    return name


def _versions() -> dict[str, str]:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
