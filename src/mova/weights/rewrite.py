"""Look into, check and rewrite the weights of a model in the published directory layout."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from mova.errors import CheckpointError, ConfigError
from mova.files.json_file import Fields, as_fields, read_object, shorten_text
from mova.files.staging import complete_or_absent
from mova.names import INDEX_FILE, NETWORKS
from mova.weights.agreement import check_agreement
from mova.weights.components import (
    key_shapes,
    load_component,
    read_config,
    stored_class_name,
    stored_quantization,
    verify_component,
    write_component,
)
from mova.weights.files import StoredTensor, key_shape_md5, read_header, read_headers, weight_files
from mova.weights.index import check_index, named_classes, read_index
from mova.weights.locate import shipped_model
from mova.weights.model_files import check_links, copy_model_files
from mova.weights.quantize.report import can_be_quantized, check_stored_method, write_report
from mova.weights.quantize.stored import quantize_stored

# Fingerprints that DiffSynth-Studio records for the released files. The video towers' is that of Wan 2.2 I2V A14B.
PUBLISHED_MD5 = {
    "5b013604280dd715f8457c6ed6d6a626": "video tower of MOVA (A14B)",
    "8c57e12790e2c45a64817e0ce28cde2f": "audio tower of MOVA (1.3B)",
    "d1139dbbc8b4ab53cf4b4243d57bbceb": "bridge of MOVA (2.6B)",
    "418517fb2b4e919d2cac8f314fcf82ac": "audio autoencoder of MOVA (48 kHz)",
}

Manifest = Mapping[str, tuple[int, ...]]
DTYPES = {"bf16": torch.bfloat16, "float32": torch.float32}


@dataclass(frozen=True)
class ComponentReport:
    """What the headers of one component's files say.

    Attributes:
        name: folder in the model, or name of the file.
        class_name: class that its config names; empty for a bare file.
        num_tensors: in all its files.
        num_parameters: values in all tensors.
        dtypes: number of tensors by dtype, in the words of safetensors.
        size_bytes: bytes of its weight files.
        md5: fingerprint of names and shapes.
        published_as: the published component with this fingerprint, if it is one.
        quantization: how its large weights are quantised; None where they are plain.
    """

    name: str
    class_name: str
    num_tensors: int
    num_parameters: int
    dtypes: Mapping[str, int]
    size_bytes: int
    md5: str
    published_as: str | None
    quantization: str | None = None


def inspect_weights(path: Path) -> list[ComponentReport]:
    """Describe a model directory, one component's directory or one safetensors file, from headers alone.

    Raises:
        CheckpointError: none of these, or a file that is damaged or cut short.
    """
    path = find_weights(path)
    if path.is_file():
        return [_report(path.name, "", read_header(path), [path])]
    folders = component_folders(path)
    return [
        replace(
            _report(name, stored_class_name(config), read_headers(folder), weight_files(folder)[1]),
            quantization=stored_quantization(config),
        )
        for name, folder, config in ((name, folder, read_config(folder)) for name, folder in folders.items())
    ]


def verify_weights(folder: Path, manifest_file: Path | None = None) -> dict[str, int]:
    """Check every component strictly: its class, and the name and shape of every tensor; no weights are read.

    Args:
        folder: a model directory or one component's directory.
        manifest_file: JSON with the expected shapes besides, {tensor: [sizes]} for one component or
            {component: {tensor: [sizes]}} for a model.

    Returns:
        Number of tensors by component.

    Raises:
        CheckpointError: every component at fault, each with its first offending key and the counts.
    """
    folder = find_weights(folder)
    if (folder / INDEX_FILE).is_file():
        check_index(folder, read_index(folder))
    folders = component_folders(folder)
    manifests = {} if manifest_file is None else _read_manifests(manifest_file, list(folders))
    classes = named_classes(folder)
    counts: dict[str, int] = {}
    faults = [f"{name} is named by the manifest and missing in {folder}" for name in manifests if name not in folders]
    for name, component in folders.items():
        try:
            shapes = key_shapes(verify_component(component, classes.get(name)))
            if name in manifests:
                stored = {key: header.shape for key, header in read_headers(component).items()}
                _compare_with_manifest(name, stored, manifests[name])
            counts[name] = len(shapes)
        except CheckpointError as error:
            faults.append(str(error))
    if faults:
        raise CheckpointError("\n".join(faults))
    check_agreement(folder)
    return counts


def convert_weights(
    source: Path,
    target: Path,
    *,
    dtype: str | None = None,
    max_shard_size: str = "10GB",
    fold_weight_norm: bool = False,
    quantize: str | None = None,
) -> Path:
    """Write a model again with another dtype, other shards, folded weight norm or quantised weights.

    The target appears complete or not at all. In memory is one component at a time; of one that is quantised, one
    shard.

    Args:
        source: model directory or shipped name; checked strictly first.
        target: must not exist yet.
        dtype: one of `DTYPES`, of all floating-point weights but quantised ones; None keeps each tensor's.
        max_shard_size: such as "16MB".
        fold_weight_norm: store plain convolution weights instead of weight_g and weight_v.
        quantize: quantises the large weights of towers and bridge: float8, int8 or nf4. Beside them lies a report of
            the errors (`mova.weights.quantize.report`).

    Returns:
        The target.

    Raises:
        CheckpointError: a component at fault.
        ConfigError: a value that cannot be used, a target that exists, or nothing to fold or to quantise.
        MissingExtraError: what quantises weights is not installed.
    """
    stored_dtype = check_dtype(dtype)
    check_shard_size(max_shard_size)
    if target.exists() or target.is_symlink():
        raise ConfigError(f"the target must not exist yet, got {target}")
    source = find_weights(source)
    folders = component_folders(source)
    check_links(source, folders)
    verify_weights(source)
    normed = {name for name, folder in folders.items() if read_config(folder).get("use_weight_norm")}
    if fold_weight_norm and not normed:
        raise ConfigError(f"no component of {source} has weight norm to fold; leave fold_weight_norm out")
    method = None if quantize is None else check_stored_method(quantize, folders)
    with complete_or_absent(target) as staging:
        copy_model_files(source, staging, folders)
        for name, folder in folders.items():
            # A component that is converted alone is not in a folder of its name.
            place = staging if folder == source else staging / name
            if method and can_be_quantized(folder):
                errors = quantize_stored(folder, place, method, max_shard_size=max_shard_size, dtype=stored_dtype)
                write_report(method, errors, folder, place)
                continue
            component = load_component(folder)
            if fold_weight_norm and name in normed:
                _fold(component)
            write_component(component, place, max_shard_size=max_shard_size, dtype=stored_dtype)
            # The next one is read before this name is given away.
            del component
    return target


def check_dtype(name: str | None) -> torch.dtype | None:
    """Return the dtype of a name in `DTYPES`; None for None.

    Raises:
        ConfigError: another name.
    """
    if name is not None and name not in DTYPES:
        raise ConfigError(f"dtype must be one of {', '.join(DTYPES)}, got {name!r}")
    return None if name is None else DTYPES[name]


def check_shard_size(text: str) -> None:
    """Refuse a largest size of a file that is not a number with a unit."""
    if not re.fullmatch(r"[1-9]\d*(KB|MB|GB)", text):
        raise ConfigError(f"max_shard_size must be a number with KB, MB or GB, got {text!r}; such as 16MB")


def find_weights(path: Path) -> Path:
    """Return the path itself, or the folder of a shipped model where nothing is there and it is one's name."""
    return path if path.exists() else shipped_model(path) or path


def component_folders(folder: Path) -> dict[str, Path]:
    """Return the folders with weights: those that the model's index names, or the folder itself if it is a component.

    Raises:
        CheckpointError: neither a model directory nor a component; or the index names a folder that is not there.
    """
    if (folder / INDEX_FILE).is_file():
        named = named_classes(folder)
        absent = sorted(name for name in named if not (folder / name).is_dir())
        if absent:
            raise CheckpointError(f"{folder} must hold the components of its index, got none at {', '.join(absent)}")
        return {name: folder / name for name in named if name in NETWORKS or (folder / name / "config.json").is_file()}
    if (folder / "config.json").is_file():
        return {folder.name: folder}
    raise CheckpointError(
        f"expected a folder with model_index.json or config.json, or a safetensors file, got {folder}"
    )


def _report(name: str, class_name: str, headers: Mapping[str, StoredTensor], files: list[Path]) -> ComponentReport:
    md5 = key_shape_md5({key: header.shape for key, header in headers.items()})
    return ComponentReport(
        name=name,
        class_name=class_name,
        num_tensors=len(headers),
        num_parameters=sum(header.num_elements for header in headers.values()),
        dtypes=dict(Counter(header.dtype for header in headers.values())),
        size_bytes=sum(file.stat().st_size for file in files),
        md5=md5,
        published_as=PUBLISHED_MD5.get(md5),
    )


def _read_manifests(file: Path, names: list[str]) -> dict[str, Manifest]:
    content = read_object(file, error=CheckpointError)
    flat = bool(content.values) and all(isinstance(entry, list) for entry in content.values.values())
    if flat and len(names) != 1:
        raise CheckpointError(f"{file} describes one component, got a model with {', '.join(names)}")
    if flat:
        return {names[0]: _manifest(content)}
    return {name: _manifest(content.fields(name)) for name in content.values}


def _manifest(entries: Fields) -> dict[str, tuple[int, ...]]:
    return {key: tuple(_sizes(entries, key)) for key in entries.values}


def _sizes(entries: Fields, key: str) -> list[int]:
    sizes = {str(axis): size for axis, size in enumerate(entries.list(key))}
    shape = as_fields(sizes, f"{entries.where}: {shorten_text(key)}, axis", error=CheckpointError)
    return [shape.integer(axis, least=0) for axis in sizes]


def _compare_with_manifest(name: str, stored: Manifest, expected: Manifest) -> None:
    missing = [key for key in expected if key not in stored]
    extra = sorted(key for key in stored if key not in expected)
    misshaped = [key for key in expected if key in stored and stored[key] != expected[key]]
    offending = [*missing, *misshaped, *extra]
    if offending:
        key = offending[0]
        raise CheckpointError(
            f"{name} must hold the tensors of the manifest: first offending key {key!r} is "
            f"{_shape_text(stored.get(key))} and must be {_shape_text(expected.get(key))}; {len(missing)} missing, "
            f"{len(extra)} extra, {len(misshaped)} mis-shaped of {len(expected)}"
        )


def _shape_text(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else f"{list(shape)} ({math.prod(shape)} values)"


def _fold(component: torch.nn.Module) -> None:
    from mova.models.audio_vae import AudioAutoencoder

    assert isinstance(component, AudioAutoencoder), "only this class has the option use_weight_norm"
    component.fold_weight_norm()
