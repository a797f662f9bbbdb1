"""What quantisation does to each weight of a model directory: checked beforehand, and written beside the weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from mova.errors import CheckpointError, ConfigError
from mova.files.json_file import Fields, read_object
from mova.names import QUANTIZATION_REPORT_FILE
from mova.weights.components import (
    component_class,
    published_class_name,
    read_config,
    stored_class_name,
    stored_quantization,
)
from mova.weights.files import weight_files
from mova.weights.quantize.codes import require_method
from mova.weights.quantize.layout import FROZEN_METHODS, Method, check_method, storage_method

QUANTIZABLE_CLASSES = ("WanModel", "WanAudioModel", "DualTowerConditionalBridge")


@dataclass(frozen=True)
class QuantizationReport:
    """What quantisation did to one component.

    Attributes:
        quant_method: how its weights are quantised.
        bytes_before, bytes_after: bytes of its weight files.
        mean_error, worst_error: relative error of the quantised weights: norm of the difference over the norm.
        worst_weight: which one is furthest off.
        errors: relative error of each quantised weight, by key.
    """

    quant_method: str
    bytes_before: int
    bytes_after: int
    mean_error: float
    worst_error: float
    worst_weight: str
    errors: Mapping[str, float]


def can_be_quantized(folder: Path) -> bool:
    """Tell whether a component has layers that are quantised: towers and the bridge have."""
    return published_class_name(component_class(stored_class_name(read_config(folder)))) in QUANTIZABLE_CLASSES


def check_stored_method(name: str, folders: Mapping[str, Path]) -> Method:
    """Return a method by which weights can be stored, and make sure that there are some to quantise.

    Args:
        name: name of the method.
        folders: folders of the components, by name.

    Raises:
        ConfigError: an unknown method, one that is only a way to compute, or nothing to quantise.
        MissingExtraError: the method needs bitsandbytes, which is not installed.
    """
    method = check_storage_name(name)
    quantizable = {part: folder for part, folder in folders.items() if can_be_quantized(folder)}
    if not quantizable:
        raise ConfigError(f"only towers and the bridge can be quantised, got {', '.join(folders)}; leave quantize out")
    for part, folder in quantizable.items():
        stored = stored_quantization(read_config(folder))
        if stored:
            raise ConfigError(f"weights are quantised once, got {part} in {stored} already; take the plain model")
    require_method(method)
    return method


def check_storage_name(name: str) -> Method:
    """Return the name of a method by which weights can be stored.

    Raises:
        ConfigError: an unknown method, or one that is only a way to compute.
    """
    method = check_method(name)
    if method not in FROZEN_METHODS:
        raise ConfigError(
            f"weights are stored in {', '.join(FROZEN_METHODS)}, got {name}, which computes with those of "
            f"{storage_method(method)}; nearest is {storage_method(method)}"
        )
    return method


def write_report(method: Method, errors: Mapping[str, float], source: Path, target: Path) -> QuantizationReport:
    """Write the report of a component beside its weights.

    Args:
        method: method by which its weights were quantised.
        errors: relative error of each, by key.
        source: folder of the plain component, or the file that it came from.
        target: folder of the quantised one.
    """
    worst = max(errors, key=lambda key: errors[key])
    report = QuantizationReport(
        quant_method=method,
        bytes_before=_weight_bytes(source),
        bytes_after=_weight_bytes(target),
        mean_error=sum(errors.values()) / len(errors),
        worst_error=errors[worst],
        worst_weight=worst,
        errors=dict(errors),
    )
    (target / QUANTIZATION_REPORT_FILE).write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")
    return report


def read_reports(folder: Path) -> dict[str, QuantizationReport]:
    """Return the reports of a model's components, or of one component's folder, by name of the folder.

    Raises:
        CheckpointError: a report that cannot be read.
    """
    files = [*folder.glob(QUANTIZATION_REPORT_FILE), *sorted(folder.glob(f"*/{QUANTIZATION_REPORT_FILE}"))]
    return {file.parent.name: _read_report(read_object(file, error=CheckpointError)) for file in files}


def _read_report(report: Fields) -> QuantizationReport:
    errors = report.fields("errors")
    return QuantizationReport(
        quant_method=report.text("quant_method"),
        bytes_before=report.integer("bytes_before", least=0),
        bytes_after=report.integer("bytes_after", least=0),
        mean_error=report.number("mean_error", least=0),
        worst_error=report.number("worst_error", least=0),
        worst_weight=report.text("worst_weight"),
        errors={key: errors.number(key, least=0) for key in errors.values},
    )


def _weight_bytes(folder: Path) -> int:
    files = [folder] if folder.is_file() else weight_files(folder)[1]
    return sum(file.stat().st_size for file in files)
