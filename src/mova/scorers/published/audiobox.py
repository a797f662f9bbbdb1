"""How a listener would like a clip's sound: the four opinions of Audiobox Aesthetics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from mova.errors import ConfigError
from mova.scorers.base import (
    Absence,
    Direction,
    Findings,
    Measure,
    Needs,
    Score,
    WeightsFile,
    all_absent,
    score_each,
)
from mova.scorers.clip_media import ClipMedia

if TYPE_CHECKING:
    from mova.scorers.networks.audiobox import AudioboxNetwork

AUDIOBOX: Final = WeightsFile("audiobox-aesthetics.pt", "facebook/audiobox-aesthetics", "CC-BY-4.0")
SETTINGS_NAME: Final = "audiobox-aesthetics.json"
"""config.json of facebook/audiobox-aesthetics, where the file of weights does not hold the same settings."""
SAMPLE_RATE: Final = 16_000
WINDOW_S: Final = 10


@dataclass(frozen=True)
class AudioboxSettings:
    """What belongs to the published weights beside them.

    Attributes:
        blocks: linear layers of each head.
        has_norm: whether heads have layer norms.
        unit_length: whether what heads see has length 1.
        means: of the opinions, in the order of `AXES`.
        spreads: of the opinions.
    """

    blocks: int
    has_norm: bool
    unit_length: bool
    means: tuple[float, ...]
    spreads: tuple[float, ...]


class AudioboxScorer:
    """Opinions of sound, whole clips in windows of 10 s.

    Args:
        folder: with the file; None where there is none.
    """

    name = "audiobox"
    measures = (
        Measure(
            "audiobox_ce",
            "",
            Direction.HIGHER,
            "Audiobox Aesthetics: how much a listener enjoys the content, 1 to 10.",
        ),
        Measure("audiobox_cu", "", Direction.HIGHER, "Audiobox Aesthetics: how useful the content is, 1 to 10."),
        Measure("audiobox_pc", "", Direction.NEITHER, "Audiobox Aesthetics: how complex the production is, 1 to 10."),
        Measure("audiobox_pq", "", Direction.HIGHER, "Audiobox Aesthetics: how good the production is, 1 to 10."),
    )
    needs = Needs(audio=True, weights=(AUDIOBOX,))

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def score(self, clips: Sequence[ClipMedia]) -> list[Findings]:
        """Return the opinions of each clip that is not silent."""
        return score_each(self, clips, self._find)

    def check_weights(self) -> None:
        """See `CheckedScorer`."""
        if self._folder is not None:
            _read(self._folder)

    def _find(self, clip: ClipMedia) -> Findings:
        if self._folder is None:
            raise FileNotFoundError("no folder of weights is named")
        sound = clip.waveform(SAMPLE_RATE)
        if not sound.any():
            return all_absent(self.measures, Absence.NOT_APPLICABLE, "the sound is silent")
        network, settings = _network(self._folder)
        found = opinions(sound, network, settings)
        return Findings({measure.name: Score.of(value) for measure, value in zip(self.measures, found, strict=True)})


def opinions(sound: np.ndarray, network: AudioboxNetwork, settings: AudioboxSettings) -> tuple[float, ...]:
    """Return four opinions in the order of `AXES`: means over windows of 10 s by how much of each is sound.

    Args:
        sound: (S,) in [-1, 1] at 16 kHz, one sample or more.
        network: with weights.
        settings: that belong to them.
    """
    import torch

    from mova.scorers.front_ends.windows import windows_of
    from mova.scorers.published.networks import device_of

    windows, lengths = windows_of(np.asarray(sound, np.float32), WINDOW_S * SAMPLE_RATE)
    device = device_of(network)
    rows = []
    with torch.inference_mode():
        for window, length in zip(windows, lengths, strict=True):
            heard = network(torch.from_numpy(window[None]).to(device), torch.tensor([length], device=device))
            rows.append(heard[0].double().cpu().numpy())
    full = np.stack(rows) * np.array(settings.spreads) + np.array(settings.means)
    return tuple(float(value) for value in np.average(full, axis=0, weights=lengths))


def read_settings(folder: Path) -> AudioboxSettings:
    """Return the settings beside the weights: from the file of weights itself, or from `SETTINGS_NAME` beside it.

    Raises:
        ConfigError: neither holds them, or they are those of a network that there is none for.
    """
    held = _held(folder / AUDIOBOX.name)
    beside = folder / SETTINGS_NAME
    if "target_transform" not in held and beside.is_file():
        from mova.files.json_file import read_object

        held = read_object(beside, error=ConfigError).values
    heads = held.get("model_cfg", held)
    targets = held.get("target_transform")
    if not isinstance(targets, Mapping) or not isinstance(heads, Mapping):
        raise ConfigError(
            f"{folder / AUDIOBOX.name} must hold `target_transform`, or {SETTINGS_NAME} must lie beside it "
            "(config.json of facebook/audiobox-aesthetics), got neither"
        )
    return _checked(heads, targets, folder)


def _checked(heads: Mapping[str, object], targets: Mapping[str, object], folder: Path) -> AudioboxSettings:
    from mova.scorers.networks.audiobox import AXES

    rule = f"settings of {folder / AUDIOBOX.name}"
    for name, only in (("use_weighted_layer_sum", True), ("output_dim", 1), ("nth_layer", 13), ("proj_act_fn", "gelu")):
        if heads.get(name, only) != only:
            raise ConfigError(f"{rule} must have {name} {only!r}, got {heads[name]!r}")
    blocks = heads.get("proj_num_layer", 1)
    if not isinstance(blocks, int) or not 1 <= blocks <= 64:
        raise ConfigError(f"{rule} must have a proj_num_layer from 1 to 64, got {blocks!r}")
    moments: dict[str, list[float]] = {"mean": [], "std": []}
    for axis in AXES:
        target = targets.get(axis)
        for part, found in moments.items():
            value = target.get(part) if isinstance(target, Mapping) else None
            if not isinstance(value, int | float) or not np.isfinite(value):
                raise ConfigError(f"{rule} must have a number as {part} of {axis}, got {value!r}")
            found.append(float(value))
    return AudioboxSettings(
        blocks,
        bool(heads.get("proj_ln", False)),
        bool(heads.get("normalize_embed", True)),
        tuple(moments["mean"]),
        tuple(moments["std"]),
    )


def _held(path: Path) -> Mapping[str, object]:
    """Return what a checkpoint holds beside its tensors; nothing where it cannot be read, which is said later."""
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # `load_published` says what is wrong with the file
        return {}
    return content if isinstance(content, dict) else {}


@lru_cache(maxsize=1)
def _network(folder: Path) -> tuple[AudioboxNetwork, AudioboxSettings]:
    from mova.scorers.published.networks import on_device

    network, settings = _read(folder)
    return on_device(network), settings


def _read(folder: Path) -> tuple[AudioboxNetwork, AudioboxSettings]:
    """Return the network with its weights, and its settings; nothing in the file is executed."""
    import torch

    from mova.scorers.networks.audiobox import AudioboxNetwork
    from mova.scorers.published.files import load_published

    settings = read_settings(folder)
    with torch.device("meta"):
        network = AudioboxNetwork(blocks=settings.blocks, has_norm=settings.has_norm, unit_length=settings.unit_length)
    load_published(network, folder / AUDIOBOX.name, prefixes=("model.", "module."))
    return network, settings
