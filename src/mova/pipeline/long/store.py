"""Windows on disk, so that a long clip goes on where it was interrupted, and ends with the same bytes.

A folder beside the clip holds the latents of each window that is there, and what was said of it. They are decoded again
when the clip goes on: that costs little beside making them, and gives the same frames.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from mova.data.cache import checksum
from mova.errors import StateError
from mova.files.json_file import Fields, as_fields, parse_json
from mova.files.replacing import replacing
from mova.pipeline.long.given import WindowAttempt, WindowReport

_ABOUT: Final = "about.json"
_STATE: Final = "steps.state"
_KEY: Final = "mova_window"
_MOST_BYTES: Final = 2**20


@dataclass(frozen=True, eq=False)
class StoredWindow:
    """What a window made.

    Attributes:
        video: (1, C, n, h, w) of the latent frames that are pushed to the decoder for it.
        audio: (1, C, n) likewise; those behind `kept_audio` are made anew by the next window, if there is one.
        kept_audio: how many of the audio latents are kept.
        report: how it was made.
    """

    video: torch.Tensor
    audio: torch.Tensor
    kept_audio: int
    report: WindowReport


class WindowStore:
    """Windows of one clip in a folder.

    Args:
        folder: made where it is missing; beside the clip.
        identity: digests of all that the clip depends on, by what it is. Windows of another clip are removed.
        on_note: told in words that they were.

    Raises:
        StateError: the folder cannot be written.
    """

    def __init__(self, folder: Path, identity: Mapping[str, str], on_note: Callable[[str], None]) -> None:
        self.folder = folder
        text = json.dumps(dict(identity), sort_keys=True, indent=1)
        try:
            present = (folder / _ABOUT).read_text() if (folder / _ABOUT).is_file() else None
            if present is not None and present != text:
                on_note(f"{folder.name} holds windows of another clip{_differing(present, identity)}; it begins anew")
                self.clear()
            folder.mkdir(exist_ok=True)
            with replacing(folder / _ABOUT) as partial:
                partial.write_text(text)
        except OSError as error:
            raise StateError(f"windows must be kept in a folder that can be written, {folder}: {error}") from error

    def load(self, index: int) -> StoredWindow | None:
        """Return a window that is there; None where there is none, or one that is damaged."""
        path = self._path(index)
        if not path.is_file():
            return None
        data = path.read_bytes()
        try:
            length = int.from_bytes(data[:8], "little")
            header = as_fields(
                parse_json(data[8 : 8 + length], path.name, error=StateError), path.name, error=StateError
            )
            text = header.fields("__metadata__").text(_KEY)
            stored = as_fields(parse_json(text, path.name, error=StateError), path.name, error=StateError)
            tensors = load(data)
            if stored.text("sha256") != _digest(stored.text("report"), tensors):
                return None
            values = json.loads(stored.text("report"))
            attempts = tuple(WindowAttempt(**one) for one in values.pop("attempts"))
            kept = values.pop("kept_audio")
            return StoredWindow(tensors["video"], tensors["audio"], kept, WindowReport(**values, attempts=attempts))
        except (SafetensorError, StateError, ValueError, KeyError, TypeError, OverflowError):
            return None

    def save(self, window: StoredWindow) -> None:
        """Keep a window; it is on disk when this returns.

        Raises:
            StateError: it cannot be written.
        """
        tensors = {name: getattr(window, name).detach().cpu().contiguous().clone() for name in ("video", "audio")}
        text = json.dumps(asdict(window.report) | {"kept_audio": window.kept_audio}, sort_keys=True)
        about = json.dumps({"sha256": _digest(text, tensors), "report": text})
        try:
            with replacing(self._path(window.report.index)) as partial:
                partial.write_bytes(save(tensors, {_KEY: about}))
        except OSError as error:
            raise StateError(f"a window must be kept in {self.folder}, got {error}") from error

    def load_steps(self) -> bytes | None:
        """Return the state of a loop that makes all windows together; None where there is none."""
        path = self.folder / _STATE
        return path.read_bytes() if path.is_file() else None

    def save_steps(self, state: bytes) -> None:
        """Keep the state of such a loop.

        Raises:
            StateError: it cannot be written.
        """
        try:
            with replacing(self.folder / _STATE) as partial:
                partial.write_bytes(state)
        except OSError as error:
            raise StateError(f"the state of a run must be kept in {self.folder}, got {error}") from error

    def clear(self) -> None:
        """Remove the folder: the clip is there, or another is wanted."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self.folder)

    def _path(self, index: int) -> Path:
        return self.folder / f"window-{index:05d}.safetensors"


def _object(content: bytes | str) -> Fields:
    return as_fields(parse_json(content, "a window", error=StateError), "a window", error=StateError)


def _digest(text: str, tensors: Mapping[str, torch.Tensor]) -> str:
    return hashlib.sha256(f"{text}\0{checksum(tensors)}".encode()).hexdigest()


def _differing(present: str, identity: Mapping[str, str]) -> str:
    try:
        before = json.loads(present[:_MOST_BYTES])
        names = sorted(name for name in {**before, **identity} if before.get(name) != identity.get(name))
    except (ValueError, TypeError, AttributeError):
        return ""
    return f" (it differs in {', '.join(names)})"
