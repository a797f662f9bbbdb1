"""Find a model's directory by name and read what can be known of it without its weights (no torch here)."""

from __future__ import annotations

import difflib
import json
import logging
import re
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from mova.errors import CheckpointError
from mova.files.json_file import Fields, field_kinds, read_object, shorten_text
from mova.names import DEFAULTS_FILE, INDEX_FILE, SHIPPED_MODELS
from mova.weights.hub import Hub
from mova.weights.index import read_configs

logger = logging.getLogger(__name__)

PUBLISHED_IDS: Final = ("OpenMOSS-Team/MOVA-360p", "OpenMOSS-Team/MOVA-720p")
_PUBLISHED_VIDEO_DIM = 5120
_MOST = 1_000_000
_OPTIONAL: Final = ("video_shift", "audio_shift", "bfloat16_on_cpu")
# Of a repository nothing else is fetched: no pickled weights, no code, no media of its card.
_WANTED: Final = ("*.json", "*.jsonl", "*.safetensors", "*.model", "*.md", "*.txt", "LICENSE", "NOTICE")
_HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")


@dataclass(frozen=True, kw_only=True)
class ModelDefaults:
    """What a model recommends, kept in `mova_defaults.json` beside its `model_index.json`.

    The values here are those of the published models, which have no such file.

    Attributes:
        height, width: in pixels.
        num_frames: number of frames of a clip.
        frame_rate: frames per second.
        num_inference_steps: steps of the sampler.
        guidance_scale: classifier-free guidance scale for the text prompt; 1 disables it.
        modality_scale: cross-modal (bridge) guidance scale; 1 disables it.
        guidance_rescale: in [0, 1].
        video_shift, audio_shift: shifts of the schedule; None takes the scheduler's.
        video_hold_noise, audio_hold_noise: in [0, 1], noise augmentation of a video, or an audio, that is given whole;
            0 holds it clean.
        sampler: name of the sampler.
        negative_prompt: what guidance leads away from.
        bfloat16_on_cpu: whether a CPU that multiplies bfloat16 may compute in it by itself, since the model's figures
            were measured to hold; None says nothing (see `mova.pipeline.precision`).
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
    video_hold_noise: float = 0.0
    audio_hold_noise: float = 0.0
    sampler: str = "euler"
    negative_prompt: str = ""
    bfloat16_on_cpu: bool | None = None


def shipped_models(file: str = INDEX_FILE) -> list[str]:
    """Return the names of the models that come with the package and have a file, in order."""
    return sorted(path.parent.name for path in SHIPPED_MODELS.glob(f"*/{file}"))


def shipped_model(name: str | Path) -> Path | None:
    """Return the directory of a model that comes with the package; None for any other name."""
    folder = SHIPPED_MODELS / name
    is_shipped = re.fullmatch(r"[\w.-]{1,200}", str(name)) is not None and (folder / INDEX_FILE).is_file()
    return folder if is_shipped else None


def local_model(name: str | Path) -> Path | None:
    """Return the directory that `find_model` means by a name, or None: nothing is downloaded.

    A directory need not hold a whole model: stages of a run fill one part by part.
    """
    shipped = shipped_model(name)
    if shipped is not None:
        return shipped
    try:
        return Path(name) if Path(name).is_dir() else None
    except (OSError, ValueError):  # no name that a folder may have
        return None


def find_model(name: str | Path, hub: Hub | None = None) -> Path:
    """Return the directory of a model.

    Args:
        name: a shipped model (`mova-tiny`), a directory in the published layout, or a hub id such as
            `OpenMOSS-Team/MOVA-360p`, which is downloaded (the only use of the network).
        hub: how a repository of the hub is asked for.

    Raises:
        CheckpointError: there is no such model, or the directory is not one.
    """
    text = str(name)
    folder = local_model(name)
    if folder is not None:
        if not (folder / INDEX_FILE).is_file():
            raise CheckpointError(f"a model directory must hold {INDEX_FILE}, got {folder} without it")
        _check_local(folder, hub)
        return folder
    try:
        is_hub_id = _HUB_ID.fullmatch(text) is not None and not Path(name).exists()
    except (OSError, ValueError):
        is_hub_id = False
    if is_hub_id:
        return _download(text, hub or Hub())
    known = shipped_models()
    raise CheckpointError(
        f"model must be a shipped name ({', '.join(known) or 'none'}), a directory in the published layout or a hub id "
        f"OWNER/NAME; got {shorten_text(text)}{_nearest_model(text, known)}"
    )


def _nearest_model(text: str, shipped: list[str]) -> str:
    """Return the known model whose name is spelt most like a text, for an error; nothing where none is like it."""
    spelt = {re.sub(r"[^a-z0-9]+", "-", name.lower().rpartition("/")[2]): name for name in (*shipped, *PUBLISHED_IDS)}
    wanted = re.sub(r"[^a-z0-9]+", "-", text[:100].lower().replace("\\", "/").rstrip("/").rpartition("/")[2])
    close = difflib.get_close_matches(wanted, spelt, n=1, cutoff=0.7)
    return f"; nearest is {spelt[close[0]]}" if close else ""


# The published models differ in their weights alone, so that only a name says which one it is.
PUBLISHED_DEFAULTS: Final = {"mova-360p": ModelDefaults(), "mova-720p": ModelDefaults(height=720, width=1280)}
_PUBLISHED_NAME = re.compile(r"(?<![a-z0-9])mova[-_. ]?(360|720)p(?![a-z0-9])")
# `models--OWNER--NAME/snapshots/REVISION` is where the hub's client keeps a download.
_HUB_CACHE_DEPTH = 2
_MODEL_CARD_BYTES = 2**16


def read_defaults(folder: Path, name: str | Path | None = None) -> ModelDefaults:
    """Return what a model recommends: the one look-up of the whole package.

    Args:
        folder: the model's directory. Its `mova_defaults.json` decides where there is one.
        name: name that the user called the model by, such as a hub id.

    Returns:
        What the file says; without one, the values of the published model that the name, the folder, its place in the
        cache of the hub, or its model card tells; those of MOVA-360p where nothing tells.

    Raises:
        CheckpointError: the file is damaged, has an unknown key or a value of another kind.
    """
    file = folder / DEFAULTS_FILE
    if file.is_file():
        return changed_defaults(ModelDefaults(), read_object(file, error=CheckpointError))
    published = published_name(folder, name)
    return ModelDefaults() if published is None else PUBLISHED_DEFAULTS[published]


def published_name(folder: Path, name: str | Path | None = None) -> str | None:
    """Return which published model a directory holds, a key of `PUBLISHED_DEFAULTS`; None where nothing tells.

    Args:
        folder: folder of the model; where it is a link, what it points to counts as well.
        name: name that the user called it by.
    """
    candidates = [] if name is None else [str(name).rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1]]
    for path in (folder.absolute(), folder.resolve()):
        candidates.append(path.name)
        if path.parent.name == "snapshots":
            candidates.append(path.parents[_HUB_CACHE_DEPTH - 1].name)
    candidates.append(_title_of_model_card(folder))
    for candidate in candidates:
        found = {f"mova-{size}p" for size in _PUBLISHED_NAME.findall(candidate.lower())}
        if len(found) == 1:
            return found.pop()
    return None


def note_unknown_size(folder: Path, name: str | Path | None, video_dim: int) -> None:
    """Say in one line of the log that nothing tells whether a model of the published size is for 360p or for 720p."""
    is_published_size = video_dim == _PUBLISHED_VIDEO_DIM
    if is_published_size and not (folder / DEFAULTS_FILE).is_file() and published_name(folder, name) is None:
        logger.warning(
            "nothing in %s says whether its weights are those of MOVA-360p or of MOVA-720p; clips are 640x352 unless "
            "height and width are given (a %s beside its model_index.json, or a folder called MOVA-720p, would say)",
            folder,
            DEFAULTS_FILE,
        )


def _title_of_model_card(folder: Path) -> str:
    card = folder / "README.md"
    if not card.is_file():  # to open a pipe would wait for its other end
        return ""
    try:
        with card.open("rb") as stream:
            text = stream.read(_MODEL_CARD_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return ""
    return next((line for line in text.splitlines() if line.startswith("# ")), "")


def changed_defaults(usual: ModelDefaults, stored: Fields) -> ModelDefaults:
    """Return what a model recommends with the values of a JSON object in place of its own.

    Raises:
        MovaError: an error of the class that `stored` names: an unknown key, or a value of another type or out of
            range.
    """
    known = {item.name for item in fields(ModelDefaults)}
    unknown = sorted(set(stored.values) - known)
    if unknown:
        raise stored.error(
            f"{stored.where} must hold only {', '.join(sorted(known))}; got {', '.join(map(shorten_text, unknown[:4]))}"
        )
    values: dict[str, Any] = {}
    for key, kind in field_kinds(ModelDefaults).items():
        if key not in stored:
            continue
        if kind is int:
            values[key] = stored.integer(key, least=1, most=_MOST)
        elif kind is str:
            values[key] = stored.text(key)
        elif stored.values[key] is None and key in _OPTIONAL:
            values[key] = None
        elif kind is bool:
            values[key] = stored.flag(key)
        else:
            values[key] = stored.number(key, least=0.001 if key == "frame_rate" else 0, most=_MOST)
    return replace(usual, **values)


def write_defaults(folder: Path, defaults: ModelDefaults) -> None:
    """Write what a model recommends beside its `model_index.json`."""
    (folder / DEFAULTS_FILE).write_text(json.dumps(asdict(defaults), indent=2) + "\n", encoding="utf-8")


def read_config_file(path: Path) -> dict[str, object]:
    """Return a JSON object from a file.

    Raises:
        CheckpointError: missing, damaged, or something else than an object.
    """
    return dict(read_object(path, error=CheckpointError).values)


def has_quantized_weights(folder: Path) -> bool:
    """Say whether any component of a model is stored with quantised weights, from the configs alone."""
    return any("quantization_config" in config for config in read_configs(folder).values())


def bears_bfloat16(folder: Path, defaults: ModelDefaults, *, is_quantized: bool) -> bool:
    """Say whether a model is known to make as good clips in bfloat16 on a CPU as in float32."""
    if is_quantized:
        return False
    if defaults.bfloat16_on_cpu is not None:
        return defaults.bfloat16_on_cpu
    return not (folder / DEFAULTS_FILE).is_file()


def _check_local(folder: Path, hub: Hub | None) -> None:
    if hub is not None and hub.revision not in (None, "main"):
        raise CheckpointError(
            f"revision is for models of the hub, got {shorten_text(str(hub.revision))} for {folder}, which has one "
            "state only; leave it out"
        )


def _download(hub_id: str, hub: Hub) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id, allow_patterns=list(_WANTED), **hub.arguments()))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(f"model {hub_id} is not a directory here and cannot be fetched: {reason}") from error
