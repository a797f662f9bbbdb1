"""The dimensions of a model, read from its configuration files or presets without loading it (no torch here).

Parameters are counted by formula for the towers and the bridge, and taken from the headers of the weight files for the
autoencoders and the text encoder.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mova.errors import CheckpointError
from mova.files.json_file import read_object, shorten_text
from mova.geometry import CodecGeometry
from mova.names import AUDIO_TOWER, AUTOENCODERS, BRIDGE, ENCODERS, EXPERTS, INDEX_FILE, TOWERS
from mova.weights.files import read_headers
from mova.weights.index import checked_fields, read_configs

Config = Mapping[str, Any]

MAX_PROMPT_TOKENS = 512


@dataclass(frozen=True)
class TowerDims:
    """Sizes of a tower.

    Attributes:
        dim: D, width of a token.
        num_layers: blocks.
        ffn_dim: hidden width of the feed-forward part.
        in_dim: channels that enter (noisy latents and condition).
        out_dim: channels of the velocity.
        text_dim: width of a prompt embedding.
        freq_dim: width of the sinusoidal timestep embedding.
        patch_size: latent cells per token, one number per axis.
    """

    dim: int
    num_layers: int
    ffn_dim: int
    in_dim: int
    out_dim: int
    text_dim: int
    freq_dim: int
    patch_size: tuple[int, ...]

    @classmethod
    def from_config(cls, config: Config, where: str = "a tower") -> TowerDims:
        """Read the published keys of a tower's `config.json`."""
        numbers = ("dim", "num_layers", "ffn_dim", "in_dim", "out_dim", "text_dim", "freq_dim")
        sizes = {key: int(_need(config, key, where)) for key in numbers}
        return cls(**sizes, patch_size=tuple(_need(config, "patch_size", where)))

    @property
    def num_parameters(self) -> int:
        """Parameters of the tower, biases and norms included."""
        dim, cells = self.dim, math.prod(self.patch_size)
        attention = 4 * _linear(dim, dim) + 2 * dim
        block = 2 * attention + 2 * dim + _linear(dim, self.ffn_dim) + _linear(self.ffn_dim, dim) + 6 * dim
        embeddings = (
            _linear(self.in_dim * cells, dim)
            + _linear(self.text_dim, dim)
            + _linear(dim, dim)
            + _linear(self.freq_dim, dim)
            + _linear(dim, dim)
            + _linear(dim, 6 * dim)
        )
        return embeddings + self.num_layers * block + _linear(dim, self.out_dim * cells) + 2 * dim


@dataclass(frozen=True)
class BridgeDims:
    """Sizes of the bridge between the towers.

    Attributes:
        video_dim, audio_dim: widths of the towers' tokens.
        num_audio_to_video, num_video_to_audio: layers that carry each direction.
    """

    video_dim: int
    audio_dim: int
    num_audio_to_video: int
    num_video_to_audio: int

    @property
    def num_parameters(self) -> int:
        """Parameters of all layers in both directions."""
        audio_to_video = _conditioner(self.video_dim, self.audio_dim)
        video_to_audio = _conditioner(self.audio_dim, self.video_dim)
        return self.num_audio_to_video * audio_to_video + self.num_video_to_audio * video_to_audio


@dataclass(frozen=True)
class ModelDims:
    """What a plan needs to know of a model.

    Attributes:
        name: as the caller gave it.
        video, audio: the towers.
        bridge: between them.
        num_experts: video towers, of which each step uses one.
        num_prompt_tokens: P, rows of a prompt embedding.
        codec: strides and rates of the autoencoders.
        video_vae_width: channels of the video decoder at its largest size.
        video_vae_patch: pixels per cell of that size, per direction.
        fixed_parameters: parameters of the text encoder and the autoencoders, by folder.
        num_text_layers: blocks of the text encoder; 0 where they are not known.
        text_embedding_parameters: number of parameters of the text encoder outside its blocks.
    """

    name: str
    video: TowerDims
    audio: TowerDims
    bridge: BridgeDims
    num_experts: int
    num_prompt_tokens: int
    codec: CodecGeometry
    video_vae_width: int
    video_vae_patch: int
    fixed_parameters: Mapping[str, int]
    num_text_layers: int = 0
    text_embedding_parameters: int = 0

    @property
    def parameters(self) -> dict[str, int]:
        """Parameters by folder of the published layout."""
        experts = tuple(EXPERTS.values())[: self.num_experts]
        return {
            **dict.fromkeys(experts, self.video.num_parameters),
            AUDIO_TOWER: self.audio.num_parameters,
            BRIDGE: self.bridge.num_parameters,
            **self.fixed_parameters,
        }


def dims_from_configs(
    name: str,
    configs: Mapping[str, Config],
    fixed_parameters: Mapping[str, int],
    *,
    bridge_layers: tuple[int, int] | None = None,
    num_prompt_tokens: int = 512,
) -> ModelDims:
    """Combine the configurations of the components.

    Args:
        name: name of the model.
        configs: published keys by folder; the second expert may be missing.
        fixed_parameters: parameters of the text encoder and the autoencoders.
        bridge_layers: layers with audio to video and video to audio; None where the strategy is "full" (all that both
            towers have).
        num_prompt_tokens: P.

    Raises:
        CheckpointError: a component or key is missing.
    """
    for component in (*TOWERS, BRIDGE, *AUTOENCODERS):
        if component not in configs:
            raise CheckpointError(f"{name} must have a {component}, got {', '.join(sorted(configs)) or 'nothing'}")
    video, audio = (TowerDims.from_config(configs[part], f"{name}: {part}") for part in TOWERS)
    text = configs.get("text_encoder", {})
    layers = bridge_layers or _full_bridge(name, configs[BRIDGE], min(video.num_layers, audio.num_layers))
    return ModelDims(
        name=name,
        video=video,
        audio=audio,
        bridge=BridgeDims(video.dim, audio.dim, *layers),
        num_experts=sum(name in configs for name in EXPERTS.values()),
        num_prompt_tokens=num_prompt_tokens,
        codec=codec_from_configs(configs["video_vae"], configs["audio_vae"], video.patch_size, f"{name}: audio_vae"),
        video_vae_width=int(configs["video_vae"].get("decoder_base_dim") or configs["video_vae"].get("base_dim", 96)),
        video_vae_patch=int(configs["video_vae"].get("patch_size") or 1),
        fixed_parameters=fixed_parameters,
        num_text_layers=int(text.get("num_layers", 0)),
        text_embedding_parameters=int(text.get("vocab_size", 0) + 1) * int(text.get("d_model", 0)),
    )


def dims_from_directory(folder: Path) -> ModelDims:
    """Read the dimensions of a model in the published directory layout.

    Raises:
        CheckpointError: not such a directory, or a configuration or header that cannot be read.
    """
    if not (folder / INDEX_FILE).is_file():
        raise CheckpointError(f"a model directory must hold {INDEX_FILE}, got {folder}")
    configs = {name: checked_fields(folder, name).values for name in read_configs(folder)}
    fixed = {part: sum(tensor.num_elements for tensor in read_headers(folder / part).values()) for part in ENCODERS}
    bridge = read_headers(folder / BRIDGE)
    counted = tuple(_num_conditioners(bridge, direction) for direction in ("audio_to_video", "video_to_audio"))
    return dims_from_configs(
        str(folder),
        configs,
        fixed,
        bridge_layers=(counted[0], counted[1]) if bridge else None,
        num_prompt_tokens=_num_prompt_tokens(folder / "tokenizer" / "tokenizer_config.json"),
    )


def _num_prompt_tokens(config_file: Path) -> int:
    if not config_file.is_file():
        return MAX_PROMPT_TOKENS
    config = read_object(config_file, error=CheckpointError)
    if config.values.get("model_max_length") is None:
        return MAX_PROMPT_TOKENS
    # Without a limit, transformers writes 1e30.
    return int(min(MAX_PROMPT_TOKENS, config.number("model_max_length", least=1)))


def _num_conditioners(tensors: Mapping[str, object], direction: str) -> int:
    return sum(name.startswith(f"{direction}_conditioners.") and name.endswith(".inner.q.weight") for name in tensors)


def _full_bridge(name: str, config: Config, num_shared: int) -> tuple[int, int]:
    strategy = config.get("interaction_strategy", "full")
    if strategy != "full":
        raise CheckpointError(f"{name}: layers of a {strategy!r} bridge are counted in its weights, which are missing")
    return num_shared, num_shared


def codec_from_configs(
    video_vae: Config, audio_vae: Config, patch_size: tuple[int, ...] = (1, 2, 2), where: str = "audio_vae"
) -> CodecGeometry:
    """Return strides, rates and channels of a pair of autoencoders from their published keys.

    Raises:
        CheckpointError: a key is missing; the text names it and `where`.
    """
    rates = _need(audio_vae, "encoder_rates", where)
    # As the autoencoder has it where its config names none.
    latent_dim = _need(audio_vae, "latent_dim", where) or _need(audio_vae, "encoder_dim", where) * 2 ** len(rates)
    return CodecGeometry(
        spatial_stride=int(video_vae.get("scale_factor_spatial", 8)),
        temporal_stride=int(video_vae.get("scale_factor_temporal", 4)),
        patch_size=(patch_size[0], patch_size[1], patch_size[2]),
        sample_rate=int(_need(audio_vae, "sample_rate", where)),
        hop_length=math.prod(rates),
        video_channels=int(video_vae.get("z_dim", 16)),
        audio_channels=int(latent_dim),
    )


def _linear(wide_in: int, wide_out: int) -> int:
    return wide_in * wide_out + wide_out


def _conditioner(query_dim: int, condition_dim: int) -> int:
    norms = 2 * condition_dim + 2 * query_dim
    return norms + 2 * _linear(query_dim, query_dim) + 2 * _linear(condition_dim, query_dim)


def _need(config: Config, key: str, where: str) -> Any:
    if key not in config:
        found = shorten_text(", ".join(sorted(config))) or "none"
        raise CheckpointError(f"the config of {where} must have the key {key!r}, it has {found}")
    return config[key]
