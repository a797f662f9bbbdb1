"""What the keys of a component's config.json may be, far beyond the published sizes: checked before anything is built.

A class that is built from numbers that nobody bounded takes any time and any memory, and fails with any error. Every
limit is at least eight times the published value (no torch here).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from mova.files.json_file import Fields

_WIDTH, _WIDE, _LAYERS = 2**16, 2**19, 512


@dataclass(frozen=True)
class Rule:
    """What a value must be.

    Attributes:
        kind: kind of the value, or of each value of a list.
        least, most: smallest and largest number allowed.
        lengths: least and largest length of a list; None where the value is none.
        nullable: null stands for the default of the class.
    """

    kind: Literal["integer", "number", "flag", "text", "scalar"]
    least: float = 0
    most: float = 0
    lengths: tuple[int, int] | None = None
    nullable: bool = False

    def check(self, fields: Fields, key: str) -> object:
        """Return the value of a key, whole numbers as such.

        Raises:
            MovaError: an error of the class that `fields` names: another type, or out of range.
        """
        if self.nullable and fields.values[key] is None:
            return None
        if self.lengths is None:
            return self._check_one(fields, key)
        given = fields.values[key]
        values = given if isinstance(given, tuple) else fields.list(key)
        low, high = self.lengths
        if not low <= len(values) <= high:
            wanted = f"{low}" if low == high else f"{low} to {high}"
            noun = "number" if wanted == "1" else "numbers"
            raise fields.error(f"{fields.where}: {key} must have {wanted} {noun}, got {len(values)}")
        items = Fields({f"{key}[{place}]": value for place, value in enumerate(values)}, fields.where, fields.error)
        return type(values)(self._check_one(items, name) for name in items.values)

    def _check_one(self, fields: Fields, key: str) -> Any:
        if self.kind == "integer":
            return fields.integer(key, least=int(self.least), most=int(self.most))
        if self.kind == "number":
            return fields.number(key, least=self.least, most=self.most)
        if self.kind == "flag":
            return fields.flag(key)
        if self.kind == "text":
            return fields.text(key)
        value = fields.values[key]
        return value if isinstance(value, bool) else fields.number(key, least=self.least, most=self.most)


_FLAG, _TEXT = Rule("flag"), Rule("text")
_SHARE = Rule("number", 0, 1)
_CHANNELS, _DIM, _HIDDEN = Rule("integer", 1, 8192), Rule("integer", 1, _WIDTH), Rule("integer", 1, _WIDE)
_BLOCKS, _HEADS = Rule("integer", 1, _LAYERS), Rule("integer", 1, 1024)
_RATES = Rule("integer", 1, 64, lengths=(1, 10))
_LATENTS = Rule("number", -1e6, 1e6, lengths=(1, 8192))


def _tower(num_axes: int) -> dict[str, Rule]:
    flags = (
        "has_image_input",
        "has_image_pos_emb",
        "has_ref_conv",
        "add_control_adapter",
        "seperated_timestep",
        "require_vae_embedding",
        "require_clip_embedding",
        "fuse_vae_embedding_in_latents",
    )
    return {
        **dict.fromkeys(flags, _FLAG),
        "dim": _DIM,
        "in_dim": _CHANNELS,
        "ffn_dim": _HIDDEN,
        "out_dim": _CHANNELS,
        "text_dim": _DIM,
        "freq_dim": Rule("integer", 2, _WIDTH),
        "eps": _SHARE,
        "patch_size": Rule("integer", 1, 64, lengths=(num_axes, num_axes)),
        "num_heads": _HEADS,
        "num_layers": _BLOCKS,
        "in_dim_control_adapter": Rule("integer", 0, _WIDTH),
        "vae_type": _TEXT,
        "model_type": _TEXT,
        "text_len": Rule("integer", 1, _WIDTH),
    }


CONFIG_RULES: Final[Mapping[str, Mapping[str, Rule]]] = {
    "WanModel": _tower(3),
    "WanAudioModel": _tower(1),
    "DualTowerConditionalBridge": {
        "visual_layers": _BLOCKS,
        "audio_layers": _BLOCKS,
        "visual_hidden_dim": _DIM,
        "audio_hidden_dim": _DIM,
        "audio_fps": Rule("number", 0.01, 1e5),
        "head_dim": Rule("integer", 2, 8192),
        "interaction_strategy": _TEXT,
        "apply_cross_rope": _FLAG,
        "apply_first_frame_bias_in_rope": _FLAG,
        "trainable_condition_scale": _FLAG,
        "pooled_adaln": _FLAG,
    },
    "DAC": {
        "encoder_dim": _CHANNELS,
        "encoder_rates": _RATES,
        "latent_dim": Rule("integer", 1, _WIDTH, nullable=True),
        "decoder_dim": _DIM,
        "decoder_rates": _RATES,
        "n_codebooks": Rule("integer", 0, _WIDTH),
        "codebook_size": Rule("integer", 0, _WIDE),
        "codebook_dim": Rule("scalar", 0, _WIDTH, nullable=True),
        "quantizer_dropout": Rule("scalar", 0, 1),
        "sample_rate": Rule("integer", 1000, 1_000_000),
        "continuous": _FLAG,
        "use_weight_norm": _FLAG,
    },
    "AutoencoderKLWan": {
        "base_dim": _CHANNELS,
        "decoder_base_dim": Rule("integer", 1, 8192, nullable=True),
        "z_dim": _CHANNELS,
        "dim_mult": Rule("integer", 1, 64, lengths=(1, 8)),
        "num_res_blocks": Rule("integer", 0, 64),
        "attn_scales": Rule("number", 0, 1e6, lengths=(0, 16)),
        "temperal_downsample": Rule("flag", lengths=(0, 8)),
        "dropout": _SHARE,
        "latents_mean": _LATENTS,
        "latents_std": Rule("number", 1e-6, 1e6, lengths=(1, 8192)),
        "is_residual": _FLAG,
        "in_channels": _CHANNELS,
        "out_channels": _CHANNELS,
        "patch_size": Rule("integer", 1, 64, nullable=True),
        "scale_factor_temporal": Rule("integer", 1, 256),
        "scale_factor_spatial": Rule("integer", 1, 1024),
    },
    "UMT5EncoderModel": {
        "vocab_size": Rule("integer", 1, 2**24),
        "d_model": _DIM,
        "d_kv": _CHANNELS,
        "d_ff": _HIDDEN,
        "num_layers": _BLOCKS,
        "num_decoder_layers": Rule("integer", 0, _LAYERS, nullable=True),
        "num_heads": _HEADS,
        "relative_attention_num_buckets": Rule("integer", 4, 4096),
        "relative_attention_max_distance": Rule("integer", 4, 10**6),
        "dropout_rate": _SHARE,
        "classifier_dropout": _SHARE,
        "layer_norm_epsilon": _SHARE,
        "initializer_factor": Rule("number", 0, 1e6),
        "feed_forward_proj": _TEXT,
        "dense_act_fn": _TEXT,
        "is_gated_act": _FLAG,
        "tie_word_embeddings": _FLAG,
        "pad_token_id": Rule("integer", 0, 2**24, nullable=True),
        "eos_token_id": Rule("integer", 0, 2**24, nullable=True),
        "decoder_start_token_id": Rule("integer", 0, 2**24, nullable=True),
    },
}
"""By published class and key. Keys that are not here are for the class to refuse."""

# Of a text encoder everything else is left aside: transformers lets its configs choose code (kernels from the hub).
_WITHOUT_EFFECT = ("architectures", "is_encoder_decoder", "model_type", "tokenizer_class", "use_cache")
_DTYPES = ("float32", "bfloat16", "float16")


def checked_config(class_name: str, config: Fields) -> dict[str, object]:
    """Return the keys of a config that build a component, each of the right type and inside its limits.

    Args:
        class_name: published; of another class nothing is known here, and its keys come back as they are.
        config: as read; keys that begin with an underscore are left out.

    Raises:
        MovaError: an error of the class that `config` names, with file, key, rule and value.
    """
    rules = CONFIG_RULES.get(class_name, {})
    own = {key: value for key, value in config.values.items() if not key.startswith("_")}
    if class_name == "UMT5EncoderModel":
        dtypes = {key: value for key, value in own.items() if key in ("dtype", "torch_dtype") and value in _DTYPES}
        own = {key: value for key, value in own.items() if key in rules or key in _WITHOUT_EFFECT} | dtypes
    checked = {key: rules[key].check(config, key) if key in rules else value for key, value in own.items()}
    if class_name == "AutoencoderKLWan":
        _check_latents(checked, config)
    return checked


def _check_latents(checked: Mapping[str, Any], config: Fields) -> None:
    width = checked.get("z_dim", 16)
    for key in ("latents_mean", "latents_std"):
        if key in checked and len(checked[key]) != width:
            raise config.error(f"{config.where}: {key} must have z_dim = {width} numbers, got {len(checked[key])}")
