"""Whether the components of a model belong together, from their configs (no torch here)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from mova.errors import CheckpointError
from mova.files.json_file import shorten
from mova.weights.index import read_configs

_EQUAL: Final = (
    ("video_dit", "text_dim", "text_encoder", "d_model"),
    ("audio_dit", "text_dim", "text_encoder", "d_model"),
    ("video_dit", "out_dim", "video_vae", "z_dim"),
    ("audio_dit", "in_dim", "audio_vae", "latent_dim"),
    ("audio_dit", "out_dim", "audio_vae", "latent_dim"),
    ("dual_tower_bridge", "visual_hidden_dim", "video_dit", "dim"),
    ("dual_tower_bridge", "audio_hidden_dim", "audio_dit", "dim"),
    ("dual_tower_bridge", "visual_layers", "video_dit", "num_layers"),
    ("dual_tower_bridge", "audio_layers", "audio_dit", "num_layers"),
    *(("video_dit_2", key, "video_dit", key) for key in ("dim", "in_dim", "out_dim", "text_dim", "num_layers")),
    ("video_dit_2", "patch_size", "video_dit", "patch_size"),
)


def check_agreement(folder: Path) -> None:
    """Refuse a model whose components were made for others: it would load, and fail in the middle of a clip.

    Keys that a config leaves to its class are not compared.

    Raises:
        CheckpointError: the first two values that must be equal and are not, with both files.
    """
    configs = read_configs(folder)
    for part, key, other, other_key in _EQUAL:
        found, wanted = configs.get(part, {}).get(key), configs.get(other, {}).get(other_key)
        if found is not None and wanted is not None and found != wanted:
            raise CheckpointError(
                f"{folder / part / 'config.json'}: {key} must equal {other_key} of {other}, {shorten(wanted)}, got "
                f"{shorten(found)}; the components must be those of one model"
            )
    for part, key, found, wanted in _derived(configs):
        if found != wanted:
            raise CheckpointError(
                f"{folder / part / 'config.json'}: {key} must be {wanted}, which follows from the video autoencoder, "
                f"got {shorten(found)}"
            )


def _derived(configs: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, Any, int]]:
    vae, tower = configs.get("video_vae", {}), configs.get("video_dit", {})
    steps = vae.get("temperal_downsample")
    if isinstance(steps, list):
        if "scale_factor_spatial" in vae:
            wanted = 2 ** len(steps) * int(vae.get("patch_size") or 1)
            yield "video_vae", "scale_factor_spatial", vae["scale_factor_spatial"], wanted
        if "scale_factor_temporal" in vae:
            yield "video_vae", "scale_factor_temporal", vae["scale_factor_temporal"], 2 ** sum(map(bool, steps))
    if "in_dim" in tower and "z_dim" in vae:
        # Noisy latents, the mask of the known frames, and their latents.
        wanted = 2 * int(vae["z_dim"]) + int(vae.get("scale_factor_temporal", 4))
        yield "video_dit", "in_dim", tower["in_dim"], wanted
