"""A video or audio tower or a bridge from a GGUF file to a component's folder in the published layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from mova.errors import CheckpointError, ConfigError
from mova.files.json_file import shorten_text
from mova.files.staging import complete_or_absent
from mova.models.presets import mova_360p
from mova.weights.components import build_empty, key_shapes, read_config, stored_class_name, stored_quantization
from mova.weights.files import key_shape_md5
from mova.weights.gguf.file import GgufFile
from mova.weights.quantize.layers import Quantizer
from mova.weights.quantize.report import check_storage_name, write_report
from mova.weights.quantize.stored import write_streamed


def is_gguf_file(path: Path) -> bool:
    """Tell whether a path is that of a GGUF file, by its ending."""
    return path.suffix.lower() == ".gguf" and path.is_file()


def convert_gguf(
    source: Path,
    target: Path,
    *,
    like: Path | None = None,
    dtype: torch.dtype | None = None,
    max_shard_size: str = "10GB",
    quantize: str | None = None,
) -> Path:
    """Write the tensors of a GGUF file as a component; the target appears complete or not at all.

    Args:
        source: whose tensors have the published names, with or without a prefix: the towers of Wan 2.1 and 2.2 do.
        target: the component's folder; must not exist yet.
        like: folder with the config.json of such a component; None is the video tower of MOVA, which is that of Wan 2.2
            A14B for image to video.
        dtype: dtype of the tensors; None takes bfloat16 for what was stored in few bits, and all else as it is stored.
        max_shard_size: such as "16MB".
        quantize: quantises the large weights again: float8, int8 or nf4. The errors in the report are then those of
            this second quantisation alone: what the file lost before, it does not say.

    Returns:
        The target.

    Raises:
        CheckpointError: a file that is damaged, or tensors that do not fit: the first offending key and the counts.
        ConfigError: a target that exists, or an unknown method of quantisation.
        MissingExtraError: what quantises weights is not installed.
    """
    if target.exists() or target.is_symlink():
        raise ConfigError(f"the target must not exist yet, got {target}")
    quantizer = None if quantize is None else Quantizer(check_storage_name(quantize))
    stored = GgufFile(source)
    component = _empty(like)
    _check_fit(stored, component)
    for key, parameter in component.named_parameters():
        kind = stored.tensors[key].kind
        parameter.data = parameter.data.to(dtype or (torch.bfloat16 if kind.decode else kind.dtype))

    def read(key: str) -> torch.Tensor:
        # What is quantised again is quantised from float32: one rounding less.
        return stored.read(key, torch.float32 if quantizer else None)

    with complete_or_absent(target) as staging:
        write_streamed(component, read, staging, quantizer, max_shard_size=max_shard_size)
        if quantizer:
            write_report(quantizer.method, quantizer.errors, source, staging)
    return target


def _empty(like: Path | None) -> nn.Module:
    config: dict[str, Any] = (
        {"_class_name": "WanModel", **mova_360p()["video_dit"]} if like is None else read_config(like)
    )
    if stored_quantization(config):
        raise ConfigError(f"like must be a component with plain weights, got quantised ones in {like}")
    return build_empty(stored_class_name(config), config)


def _check_fit(stored: GgufFile, component: nn.Module) -> None:
    expected = key_shapes(component)
    found = {key: tensor.shape for key, tensor in stored.tensors.items()}
    missing = [key for key in expected if key not in found]
    extra = sorted(key for key in found if key not in expected)
    misshaped = [key for key, shape in expected.items() if key in found and found[key] != shape]
    offending = [*missing, *misshaped, *extra]
    if offending:
        key = offending[0]
        text = [str(list(shapes[key])) if key in shapes else "absent" for shapes in (found, expected)]
        raise CheckpointError(
            f"{stored.path} must hold the tensors of the component (names and shapes {key_shape_md5(expected)}, got "
            f"{key_shape_md5(found)}): first offending key {shorten_text(key)!r} is {text[0]} and must be {text[1]}; "
            f"{len(missing)} missing, {len(extra)} extra, {len(misshaped)} mis-shaped of {len(expected)}"
        )
