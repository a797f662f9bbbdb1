"""Published files of weights into networks: read as data, compared by name and shape, refused with what differs."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import torch
from torch import nn

from mova.errors import ConfigError
from mova.files.json_file import shorten_text
from mova.weights.files import open_weights

if TYPE_CHECKING:
    from pathlib import Path

_WRAPPERS: Final = ("state_dict", "model")
_COUNTER: Final = "num_batches_tracked"
"""Of batch normalisation; nothing reads it when a network is applied, and files of before 2018 lack it."""
_NAMED: Final = 4
_SETTINGS: Final = (
    *("omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig", "omegaconf.nodes.AnyNode"),
    *("omegaconf.base.ContainerMetadata", "omegaconf.base.Metadata", "argparse.Namespace"),
    *("pathlib.PosixPath", "pathlib._local.PosixPath", "collections.defaultdict", "typing.Any"),
    *("builtins.dict", "builtins.list", "builtins.int", "builtins.float", "builtins.str", "builtins.bool"),
)
"""Kinds of settings that lie beside weights in published files."""


class _Settings:
    """Stands for settings in a file: of what they say nothing is made."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def load_published(
    network: nn.Module,
    path: Path,
    *,
    prefixes: Sequence[str] = (),
    optional: Sequence[str] = (),
    ignored: Sequence[str] = (),
) -> None:
    """Fill a network with the weights of a published file and set it to evaluation.

    The network may stand on the meta device, where it has no buffers beside its state dict: it takes the tensors of
    the file as they are, mapped where the format allows it, and only those of another precision are copied. Nothing in
    the file is executed; settings beside the weights are passed over.

    Args:
        network: whose state dict has the published names.
        path: a file of `torch.save` of any age, or one in safetensors by its ending. A dictionary may lie under
            `state_dict` or `model`.
        prefixes: beginnings that are cut off the names in the file, for example "module."; of each name one at most,
            the first that fits.
        optional: beginnings of names of the network that the file may lack; they stay as they are.
            `num_batches_tracked` may always lack.
        ignored: beginnings of names in the file, after cutting, that are not looked at.

    Raises:
        ConfigError: the file is not there, is damaged, asks for more than tensors, or is that of another model: then
            the text says what is missing, extra and of another shape. The network stays as it was.
    """
    stored = _without(_read(path), prefixes, ignored, path)
    wanted = network.state_dict()
    spare = tuple(optional)
    missing = [
        name for name in wanted if name not in stored and not name.endswith(_COUNTER) and not name.startswith(spare)
    ]
    extra = [name for name in stored if name not in wanted and not name.endswith(_COUNTER)]
    other = [
        f"{name} {_described(stored[name])} for {_described(tensor)}"
        for name, tensor in wanted.items()
        if name in stored and not _fits(stored[name], tensor)
    ]
    parts = [_listed("missing", missing), _listed("extra", extra), _listed("of another shape", other)]
    if any(parts):
        raise ConfigError(
            f"{path} must be the file for {type(network).__name__} with its {len(wanted)} tensors, got that of another "
            f"model, {len(stored)} tensors: {'; '.join(part for part in parts if part)}"
        )
    taken = {name: tensor.to(wanted[name].dtype) for name, tensor in stored.items() if name in wanted}
    # A counter that the file lacks must have a place, so that a network from the meta device can be moved.
    counters = {name: torch.zeros_like(one, device="cpu") for name, one in wanted.items() if name.endswith(_COUNTER)}
    network.load_state_dict({**counters, **taken}, strict=False, assign=True)
    network.requires_grad_(requires_grad=False)
    network.eval()


def _without(
    content: Mapping[object, object], prefixes: Sequence[str], ignored: Sequence[str], path: Path
) -> dict[str, torch.Tensor]:
    """Return the tensors by their names as the network has them."""
    found: dict[str, torch.Tensor] = {}
    for key, value in content.items():
        name = str(key)
        name = next((name.removeprefix(prefix) for prefix in prefixes if name.startswith(prefix)), name)
        if name.startswith(tuple(ignored)):
            continue
        if not isinstance(value, torch.Tensor) or value.layout is not torch.strided:
            raise ConfigError(
                f"{path} must hold plain tensors by name, also under `state_dict` or `model`, got "
                f"{type(value).__name__} as {shorten_text(name)!r}"
            )
        if name in found:
            raise ConfigError(f"{path} must hold every tensor once, got {shorten_text(name)!r} twice")
        found[name] = value.detach()
    return found


def _read(path: Path) -> Mapping[object, object]:
    if not path.is_file():
        raise ConfigError(f"a file of weights must be there, got {path}, which is none")
    if path.suffix == ".safetensors":
        with open_weights(path, device="cpu", error=ConfigError) as stored:
            return {key: stored.tensor(key) for key in stored.keys}
    try:
        passed_over = torch.serialization.safe_globals([(_Settings, name) for name in _SETTINGS])
        with warnings.catch_warnings(), passed_over:
            # Archives of TorchScript are warned of before they are refused.
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # what PyTorch raises on damaged files is of any class
        raise ConfigError(_refusal(path, error)) from error
    while isinstance(content, Mapping):
        inner = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            return content
        content = inner
    raise ConfigError(f"{path} must hold a dictionary of tensors, got {type(content).__name__}")


def _refusal(path: Path, error: Exception) -> str:
    text = str(error)
    for said in ("GLOBAL ", "unrecognized function "):
        if said in text:
            name = text.split(said, 1)[1].split(" ", 1)[0]
            return (
                f"{path} must hold tensors and nothing else, it asks for {shorten_text(name)}: pickled code, of which "
                "nothing was run. Nearest: its tensors alone, stored by torch.save or as .safetensors"
            )
    reason = text.splitlines()[0] if text.strip() else type(error).__name__
    return f"{path} must be a whole file of torch.save that holds tensors alone: {shorten_text(reason)}"


def _fits(stored: torch.Tensor, wanted: torch.Tensor) -> bool:
    return stored.shape == wanted.shape and stored.is_floating_point() == wanted.is_floating_point()


def _described(tensor: torch.Tensor) -> str:
    kind = "" if tensor.is_floating_point() else f" {str(tensor.dtype).removeprefix('torch.')}"
    return f"{list(tensor.shape)}{kind}"


def _listed(what: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    shown = ", ".join(shorten_text(name) for name in names[:_NAMED])
    return f"{len(names)} {what} ({shown}{', ...' if len(names) > _NAMED else ''})"
