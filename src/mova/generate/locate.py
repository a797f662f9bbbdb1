"""Find a model's directory by name and read what can be known of it without its weights (no torch here)."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mova.errors import CheckpointError
from mova.generate.dims import SHIPPED_MODELS

DEFAULTS_FILE = "mova_defaults.json"
_HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")


@dataclass(frozen=True, kw_only=True)
class ModelDefaults:
    """What a model recommends, kept in `mova_defaults.json` beside its `model_index.json`.

    The values here are those of the published models, which have no such file.

    Attributes:
        height, width: in pixels.
        num_frames: of a clip.
        frame_rate: frames per second.
        num_inference_steps: steps of the sampler.
        guidance_scale, modality_scale: of text and bridge; 1 switches them off.
        guidance_rescale: in [0, 1].
        video_shift, audio_shift: of the schedule; None takes the scheduler's.
        sampler: name of the sampler.
        negative_prompt: what guidance leads away from.
    """

    height: int = 352
    width: int = 640
    num_frames: int = 193
    frame_rate: float = 24.0
    num_inference_steps: int = 50
    guidance_scale: float = 5.0
    modality_scale: float = 1.0
    guidance_rescale: float = 0.0
    video_shift: float | None = None
    audio_shift: float | None = None
    sampler: str = "euler"
    negative_prompt: str = ""


def find_model(name: str | Path) -> Path:
    """Return the directory of a model.

    Args:
        name: a shipped model (`mova-tiny`), a directory in the published layout, or a hub id such as
            `OpenMOSS-Team/MOVA-360p`, which is downloaded (the only use of the network).

    Raises:
        CheckpointError: there is no such model, or the directory is not one.
    """
    shipped = SHIPPED_MODELS / str(name)
    if re.fullmatch(r"[\w.-]+", str(name)) and (shipped / "model_index.json").is_file():
        return shipped
    folder = Path(name)
    if folder.is_dir():
        if not (folder / "model_index.json").is_file():
            raise CheckpointError(f"a model directory must hold model_index.json, got {folder} without it")
        return folder
    if _HUB_ID.fullmatch(str(name)) and not folder.exists():
        return _download(str(name))
    known = ", ".join(sorted(path.parent.name for path in SHIPPED_MODELS.glob("*/model_index.json"))) or "none"
    raise CheckpointError(
        f"model must be a shipped name ({known}), a directory in the published layout or a hub id OWNER/NAME; "
        f"got {name!s}"
    )


def read_index(folder: Path) -> dict[str, Any]:
    """Return `model_index.json`.

    Raises:
        CheckpointError: missing, or not a JSON object.
    """
    return read_config_file(folder / "model_index.json")


def read_defaults(folder: Path) -> ModelDefaults:
    """Return what a model recommends, or the values of the published models where it says nothing.

    Raises:
        CheckpointError: the file is damaged or has an unknown key.
    """
    file = folder / DEFAULTS_FILE
    if not file.is_file():
        return ModelDefaults()
    values = read_config_file(file)
    known = {item.name for item in fields(ModelDefaults)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise CheckpointError(f"{file} must hold only {', '.join(sorted(known))}; got {', '.join(unknown)}")
    return ModelDefaults(**values)


def write_defaults(folder: Path, defaults: ModelDefaults) -> None:
    """Write what a model recommends beside its `model_index.json`."""
    (folder / DEFAULTS_FILE).write_text(json.dumps(asdict(defaults), indent=2) + "\n", encoding="utf-8")


def read_config_file(path: Path) -> dict[str, Any]:
    """Return a JSON object from a file.

    Raises:
        CheckpointError: missing, damaged, or something else than an object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} must hold a JSON object, got {type(value).__name__}")
    return value


def has_packed_weights(folder: Path) -> bool:
    """Say whether any component of a model is stored with packed weights, from the configs alone."""
    return any("quantization_config" in read_config_file(path) for path in sorted(folder.glob("*/config.json")))


def _download(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(f"model {hub_id} is not a directory here and cannot be fetched: {reason}") from error
