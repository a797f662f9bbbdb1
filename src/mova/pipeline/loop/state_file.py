"""The state of a run as bytes of a safetensors file, without pickle: with a checksum and the identity of the run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from mova.data.cache import checksum, is_finite
from mova.diffusion.loop_state import LoopState, PartState
from mova.errors import GeometryError, StateError
from mova.files.json_file import Fields, as_fields, parse_json
from mova.types import LatentPair

_FORMAT: Final = 1
_KEY: Final = "mova_state"
_WHERE: Final = "state of a run"
_MOST_HEADER_BYTES: Final = 2**24


def write_state(state: LoopState, identity: Mapping[str, str]) -> bytes:
    """Return a state as bytes.

    Args:
        state: of a run.
        identity: digests of what the run depends on, by what it is.
    """
    tensors = {"latents/video": state.latents.video, "latents/audio": state.latents.audio}
    for name, part in state.parts.items():
        tensors |= {f"{name}/{key}": tensor for key, tensor in part.tensors.items()}
    # A copy of each: the format stores no memory twice, and a solver may keep the latents themselves.
    held = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    about = {
        "format": _FORMAT,
        "done": state.done,
        "total": state.total,
        "identity": dict(identity),
        "parts": {name: dict(part.numbers) for name, part in state.parts.items()},
    }
    text = json.dumps(about, sort_keys=True)
    # One entry of metadata: the library writes several in any order, and the same state is to give the same bytes.
    stored: bytes = save(held, {_KEY: json.dumps({"sha256": _digest(text, held), "about": text})})
    return stored


def read_state(data: bytes) -> tuple[LoopState, dict[str, str]]:
    """Return a state, on the CPU, and the identity of its run.

    Raises:
        StateError: bytes that are cut, damaged, or no state of this version of the format.
    """
    length = int.from_bytes(data[:8], "little")
    if not 0 < length <= min(_MOST_HEADER_BYTES, len(data)):
        raise StateError(f"{_WHERE} must be a whole safetensors file, got {len(data)} bytes that are none")
    stored = _object(_object(data[8 : 8 + length]).fields("__metadata__").text(_KEY))
    text = stored.text("about")
    try:
        tensors = load(data)
        if stored.text("sha256") != _digest(text, tensors):
            raise StateError(f"{_WHERE} is not what was written: its checksum differs")
        about = _object(text)
        if about.integer("format") != _FORMAT:
            raise StateError(f"{_WHERE} must have format {_FORMAT}, got {about.integer('format')}")
        if not is_finite(tensors):
            raise StateError(f"{_WHERE} must hold finite numbers, and does not")
        return _state(about, tensors), {str(key): str(value) for key, value in about.fields("identity").values.items()}
    except (SafetensorError, GeometryError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise StateError(f"{_WHERE} is damaged: {error}") from error


def _object(content: bytes | str) -> Fields:
    return as_fields(parse_json(content, _WHERE, error=StateError), _WHERE, error=StateError)


def _state(about: Fields, tensors: Mapping[str, torch.Tensor]) -> LoopState:
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, key = name.partition("/")
        parts.setdefault(part, {})[key] = tensor
    latents = parts.pop("latents")
    numbers: Mapping[str, Any] = about.fields("parts").values
    return LoopState(
        done=about.integer("done"),
        total=about.integer("total"),
        latents=LatentPair(latents["video"], latents["audio"]),
        parts={name: PartState(own, parts.get(name, {})) for name, own in numbers.items()},
    )


def _digest(text: str, tensors: Mapping[str, torch.Tensor]) -> str:
    return hashlib.sha256(f"{text}\0{checksum(tensors)}".encode()).hexdigest()
