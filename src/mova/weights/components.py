"""Components on disk in the published layout: class names, strict reading, atomic writing.

A component is a directory with a config.json (which names the published class) and safetensors files, single or
sharded with an index. State-dict names are the published ones already, so nothing is renamed. Reading compares every
key and every shape first, from the files' headers: either all of it fits or nothing is loaded. Where the large weights
are quantised, the config says how under `quantization_config`, and a layer has `weight` (quantised) and `scales`.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import save_file
from torch import nn

from mova.errors import CheckpointError, ConfigError, MovaError
from mova.files.json_file import Fields, read_object, shorten, shorten_text
from mova.files.staging import give_usual_mode, staging_folder
from mova.models.audio_vae import AudioAutoencoder
from mova.models.bridge import CrossModalBridge
from mova.models.text_encoder import TextEncoder, is_own_text_encoder_wanted
from mova.models.tower import AudioTower, VideoTower
from mova.weights.config_limits import checked_config
from mova.weights.files import (
    DIFFUSERS_STEM,
    TRANSFORMERS_STEM,
    StoredTensor,
    inspect_component,
    read_tensors,
    weight_files,
)
from mova.weights.quantize.codes import CODE_DTYPES, require_method
from mova.weights.quantize.layers import Quantizer, install_quantized_layers, quantized_method, quantized_tensors
from mova.weights.quantize.layout import FROZEN_METHODS, Method, storage_method

_OUR_CLASSES: dict[str, type[nn.Module]] = {
    "WanModel": VideoTower,
    "WanAudioModel": AudioTower,
    "DualTowerConditionalBridge": CrossModalBridge,
    "DAC": AudioAutoencoder,
}
_TEXT_ENCODER_CLASS = "UMT5EncoderModel"
_LIBRARY_CLASSES = {"AutoencoderKLWan": "diffusers", _TEXT_ENCODER_CLASS: "transformers"}
_CONFIG_FILE = "config.json"
# Keys of Wan's own config.json that say nothing about the network; the keys of its weights are ours.
_WITHOUT_EFFECT = {"WanModel": ("model_type", "text_len")}
_QUANTIZATION_KEY = "quantization_config"
_FLOATS = ("F32", "BF16", "F16", "F64", "F8_E4M3", "F8_E5M2")

MergeTensor = Callable[[str, torch.Tensor], torch.Tensor]
"""Given a key and its tensor as stored, returns what is to be used instead."""
ReadTensor = Callable[[str], torch.Tensor]
"""Given a key, returns its tensor."""


def component_class(name: str) -> type[nn.Module]:
    """Return the class that stands for a published class name; our own names are understood too.

    Raises:
        CheckpointError: no class of that name is known.
    """
    named = {ours.__name__: ours for ours in _OUR_CLASSES.values()} | _OUR_CLASSES
    if name in named:
        return named[name]
    if name in _LIBRARY_CLASSES:
        library_class: type[nn.Module] = getattr(import_module(_LIBRARY_CLASSES[name]), name)
        return library_class
    known = ", ".join([*_OUR_CLASSES, *_LIBRARY_CLASSES])
    raise CheckpointError(f"class must be one of {known}; got {shorten(name)}")


def published_class_name(component: nn.Module | type[nn.Module]) -> str:
    """Return the published name of a component's class (its own name where it is not one of ours)."""
    cls = component if isinstance(component, type) else type(component)
    ours = {one: name for name, one in _OUR_CLASSES.items()} | {TextEncoder: _TEXT_ENCODER_CLASS}
    return ours.get(cls, cls.__name__)


def build_empty(class_name: str, config: Mapping[str, object]) -> nn.Module:
    """Build a component on the meta device: all names and shapes, no memory. See also `own_text_encoder`.

    Args:
        class_name: published or ours.
        config: constructor arguments; keys that start with an underscore are ignored. Where it says that weights are
            quantised, the component has layers for quantised weights.

    Raises:
        CheckpointError: an unknown class, a key that the class does not take, or an unknown method of quantisation.
        ConfigError: values that the class refuses.
    """
    # Without importing a library for its class.
    published = class_name if class_name in _LIBRARY_CLASSES else published_class_name(component_class(class_name))
    method = stored_quantization(config)
    skipped = (*_WITHOUT_EFFECT.get(published, ()), _QUANTIZATION_KEY)
    plain = {key: value for key, value in config.items() if key not in skipped}
    arguments = checked_config(published, Fields(plain, published, ConfigError))
    is_own = published == _TEXT_ENCODER_CLASS and is_own_text_encoder_wanted() and TextEncoder.can_be(arguments)
    cls = TextEncoder if is_own else component_class(class_name)
    accepted = inspect.signature(cls.__init__).parameters
    unknown = [key for key in arguments if key not in accepted]
    if unknown and published != _TEXT_ENCODER_CLASS:
        raise CheckpointError(
            f"{class_name} takes no {shorten_text(unknown[0])!r} ({len(unknown)} unknown keys in its config)"
        )
    component = _construct(cls, arguments)
    if method:
        install_quantized_layers(component, method)
    return component


def _construct(cls: type[nn.Module], arguments: Mapping[str, Any]) -> nn.Module:
    try:
        with torch.device("meta"):
            if cls.__name__ == _TEXT_ENCODER_CLASS:
                from transformers import UMT5Config

                return cls(UMT5Config(**arguments))
            return cls(**arguments)
    except MovaError:
        raise
    except Exception as error:  # what the classes of libraries say of sizes that do not go together is any error
        reason = shorten_text(str(error)) or type(error).__name__
        raise ConfigError(f"{cls.__name__} cannot be built: {reason}") from error


def stored_quantization(config: Mapping[str, object]) -> Method | None:
    """Return how a component's config says that its weights are quantised; None where they are plain.

    Raises:
        CheckpointError: quantised in a way that is not known here.
    """
    if _QUANTIZATION_KEY not in config:
        return None
    entry = config[_QUANTIZATION_KEY]
    found = entry.get("quant_method") if isinstance(entry, Mapping) else entry
    for method in FROZEN_METHODS:
        if found == method:
            return method
    raise CheckpointError(f"{_QUANTIZATION_KEY}.quant_method must be {', '.join(FROZEN_METHODS)}, got {shorten(found)}")


def key_shapes(component: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of a component's state dict, in its order."""
    return {key: tuple(value.shape) for key, value in component.state_dict().items()}


def read_config(directory: Path) -> dict[str, Any]:
    """Return a component's config.json.

    Raises:
        CheckpointError: it is missing or not a JSON object.
    """
    return dict(read_object(directory / _CONFIG_FILE, error=CheckpointError).values)


def stored_class_name(config: Mapping[str, object]) -> str:
    """Return the class that a config names (diffusers' `_class_name` or transformers' `architectures`).

    Raises:
        CheckpointError: it names none.
    """
    listed = config.get("architectures")
    name = config.get("_class_name") or (listed[0] if isinstance(listed, list) and listed else None)
    if not isinstance(name, str):
        keys = ", ".join(map(shorten_text, sorted(config)[:20])) or "none"
        raise CheckpointError(f"config must name its class under _class_name or architectures, got the keys {keys}")
    return name


def verify_component(directory: Path | str, expected_class: str | None = None) -> nn.Module:
    """Check a component's class, keys and shapes against its config without loading weights.

    Args:
        directory: with config.json and safetensors files.
        expected_class: published name that the config must carry; any known class if not given.

    Returns:
        The component on the meta device.

    Raises:
        CheckpointError: a wrong class, damaged files, or tensors that do not fit: the first offending key and counts.
    """
    directory = Path(directory)
    config = read_config(directory)
    try:
        name = stored_class_name(config)
        is_expected = name == expected_class or expected_class is None
        if not is_expected and component_class(name) is not component_class(str(expected_class)):
            raise CheckpointError(f"{directory} must hold a {expected_class}, its {_CONFIG_FILE} says {name}")
        component = build_empty(name, config)
    except (ConfigError, CheckpointError) as error:
        raise CheckpointError(f"{directory / _CONFIG_FILE} cannot be used: {error}") from error
    _compare(directory, component, inspect_component(directory))
    return component


def load_component(
    directory: Path | str,
    *,
    expected_class: str | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    quantizer: Quantizer | None = None,
    merge: MergeTensor | None = None,
) -> nn.Module:
    """Load a component strictly, in evaluation mode.

    Args:
        directory: with config.json and safetensors files.
        expected_class: published name that the config must carry; any known class if not given.
        dtype: dtype of floating-point weights; as stored if not given. Parts that a class keeps in float32 stay there.
        device: where the weights go.
        quantizer: quantises the large linear layers, each as soon as it is read; those that are stored quantised stay
            so.
        merge: what is to be put into tensors, such as LoRAs, before they are quantised or cast; not into quantised
            ones.

    Raises:
        CheckpointError: as `verify_component`, or weights that are stored quantised in another way; nothing has been
            loaded then.
        MissingExtraError: weights are stored quantised, and what dequantises them is not installed.
    """
    directory = Path(directory)
    component = verify_component(directory, expected_class)
    quantization = quantized_method(component)
    if quantization:
        require_method(quantization)
    as_stored = set(quantized_tensors(component))
    component = quantizer.prepare(component) if quantizer else component
    kept = kept_in_float32(component, dtype)
    state: dict[str, torch.Tensor] = {}
    for file in weight_files(directory)[1]:
        for key, tensor in read_tensors(file, device):
            if key in as_stored:
                state[key] = tensor
                continue
            merged = merge(key, tensor) if merge else tensor
            quantized = quantizer.quantize(key, merged) if quantizer else None
            state |= quantized or {key: _cast(merged, dtype, any(part in key.split(".") for part in kept))}
    for alias in _aliases(component):
        present = next(state[key] for key in alias if key in state)
        state.update(dict.fromkeys(alias, present))
    component.load_state_dict(state, strict=True, assign=True)
    for method, arguments in (("tie_weights", {}), ("register_to_config", {"_name_or_path": str(directory)})):
        if hasattr(component, method):
            getattr(component, method)(**arguments)
    return component.eval()


def write_component(
    component: nn.Module,
    directory: Path | str,
    *,
    max_shard_size: int | str = "10GB",
    dtype: torch.dtype | None = None,
    read: ReadTensor | None = None,
) -> list[Path]:
    """Write a component in the published layout; the directory appears, or changes, only when all files are complete.

    Args:
        component: one of our classes, or one of diffusers or transformers.
        directory: created if needed; weights of an earlier component in it are removed.
        max_shard_size: in bytes, or as "16MB".
        dtype: dtype of stored floating-point weights; as they are if not given. Quantised weights and scales stay as
            they are.
        read: where the values come from if the component is on the meta device; asked for one shard after the other.

    Returns:
        The files, config first.

    Raises:
        CheckpointError: the directory cannot be written.
    """
    directory = Path(directory)
    with staging_folder(directory, error=CheckpointError) as staging:
        try:
            stem = _write_files(component, staging, max_shard_size, dtype, read)
            written = sorted(path.name for path in staging.iterdir())
            directory.mkdir(exist_ok=True)
            for stale in directory.glob(f"{stem}*.safetensors*"):
                if stale.name not in written:
                    stale.unlink()
            for name in written:
                (staging / name).replace(directory / name)
        except OSError as error:
            raise CheckpointError(f"{directory} cannot be written: {error}") from error
    return sorted((directory / name for name in written), key=lambda path: (path.name != _CONFIG_FILE, path.name))


def _write_files(
    component: nn.Module, staging: Path, max_shard_size: int | str, dtype: torch.dtype | None, read: ReadTensor | None
) -> str:
    stem = DIFFUSERS_STEM if hasattr(component, "register_to_config") else TRANSFORMERS_STEM
    config = _published_config(component)
    (staging / _CONFIG_FILE).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    quantized = quantized_tensors(component)
    state = {
        key: (value if key in quantized else _cast(value.detach(), dtype, False)).detach().contiguous()
        for key, value in component.state_dict().items()
    }
    for alias in _aliases(component):
        for key in alias[1:]:
            state.pop(key)
    split = split_torch_state_dict_into_shards(
        state, filename_pattern=stem + "{suffix}.safetensors", max_shard_size=max_shard_size
    )
    for name, keys in split.filename_to_tensors.items():
        shard = {key: read(key).contiguous() if read else state[key] for key in keys}
        save_file(shard, staging / name, metadata={"format": "pt"})
        give_usual_mode(staging / name)
        # The next one is read before this name is given away.
        del shard
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        text = json.dumps(index, indent=2, sort_keys=True) + "\n"
        (staging / f"{stem}.safetensors.index.json").write_text(text, encoding="utf-8")
    return stem


def _published_config(component: nn.Module) -> dict[str, Any]:
    config: Any = component.config
    if not hasattr(component, "register_to_config"):
        return {**config.to_dict(), "architectures": [published_class_name(component)]}
    from diffusers import __version__

    arguments = {key: value for key, value in dict(config).items() if not key.startswith("_")}
    method = quantized_method(component)
    if method:
        arguments[_QUANTIZATION_KEY] = {"quant_method": storage_method(method)}
    return {"_class_name": published_class_name(component), "_diffusers_version": __version__, **arguments}


def _compare(directory: Path, component: nn.Module, stored: Mapping[str, StoredTensor]) -> None:
    expected = key_shapes(component)
    aliases = {key: group for group in _aliases(component) for key in group}
    missing = [
        key for key in expected if key not in stored and not any(alias in stored for alias in aliases.get(key, ()))
    ]
    misshaped = [key for key, shape in expected.items() if key in stored and stored[key].shape != shape]
    extra = [key for key in stored if key not in expected]
    dtypes = _stored_dtypes(component)
    mistyped = [
        key for key in stored if key in dtypes and stored[key].dtype not in dtypes[key] and key not in misshaped
    ]
    if not (missing or misshaped or extra or mistyped):
        return
    if missing:
        first = f"{missing[0]!r} is missing"
    elif misshaped:
        key = misshaped[0]
        first = f"{key!r} is {list(stored[key].shape)} and must be {list(expected[key])}"
    elif extra:
        first = f"{min(extra)!r} does not belong there"
    else:
        key = mistyped[0]
        first = f"{key!r} is {stored[key].dtype} and must be {' or '.join(dtypes[key])}"
    method = quantized_method(component)
    raise CheckpointError(
        f"weights in {directory} do not fit {published_class_name(component)}{f' in {method}' if method else ''}: "
        f"{first}; {len(missing)} missing, {len(extra)} extra, {len(misshaped)} mis-shaped"
        f"{f', {len(mistyped)} of another dtype' if method or mistyped else ''} of {len(expected)}"
    )


def _stored_dtypes(component: nn.Module) -> dict[str, tuple[str, ...]]:
    """Return the dtypes a tensor may have in a file, in safetensors' words: one if quantised, any float otherwise."""
    names = {dtype: name for name, dtype in CODE_DTYPES.items()} | {torch.float32: "F32"}
    floats = {key: _FLOATS for key, tensor in component.state_dict().items() if tensor.is_floating_point()}
    return floats | {key: (names[tensor.dtype],) for key, tensor in quantized_tensors(component).items()}


def _aliases(component: nn.Module) -> list[list[str]]:
    """Return the groups of keys that are one tensor: a file may hold any of them."""
    groups: dict[int, list[str]] = {}
    for key, parameter in component.named_parameters(remove_duplicate=False):
        groups.setdefault(id(parameter), []).append(key)
    return [group for group in groups.values() if len(group) > 1]


def kept_in_float32(component: nn.Module | type[nn.Module], dtype: torch.dtype | None) -> tuple[str, ...]:
    """Return the parts of key names whose tensors stay in float32 while the rest gets a dtype.

    What transformers lists overflows in float16 only, and is left in bfloat16 there too.
    """
    if dtype is not torch.float16 and not hasattr(component, "register_to_config"):
        return ()
    return tuple(getattr(component, "_keep_in_fp32_modules", None) or ())


def _cast(tensor: torch.Tensor, dtype: torch.dtype | None, keep_float32: bool) -> torch.Tensor:
    if dtype is None or not tensor.is_floating_point():
        return tensor
    return tensor.to(torch.float32 if keep_float32 else dtype)
