"""CLAP of LAION (HTSAT-tiny with feature fusion, RoBERTa): how well a sound and a text go together.

The network is `transformers.ClapModel`; the names are those of LAION's checkpoints (Wu et al., Large-scale contrastive
language-audio pretraining with feature fusion and keyword-to-caption augmentation, 2023; LAION-AI/CLAP).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import torch
from torch import nn

from mova.scorers.networks.published_names import PublishedName, SpeaksPublishedNames

if TYPE_CHECKING:
    from transformers import ClapConfig

MOST_TOKENS: Final = 77
"""Tokens of a text, marks of its start and end among them."""
PADDING_TOKEN: Final = 1
"""Of RoBERTa: the network counts positions by it."""
_TEXT_NORM_EPS: Final = 1e-5
_QKV: Final = re.compile(r"^(audio_branch\..*\.attn)\.self\.(query|key|value)\.")
_PIECES: Final = (
    ("audio_model.audio_encoder.", "audio_branch."),
    ("text_model.", "text_branch."),
    ("audio_branch.batch_norm.", "audio_branch.bn0."),
    ("_projection.linear1.", "_projection.0."),
    ("_projection.linear2.", "_projection.2."),
)
_OF_BLOCKS: Final = (
    (".layernorm_before.", ".norm1."),
    (".layernorm_after.", ".norm2."),
    (".attention.output.dense.", ".attn.proj."),
    (".attention.self.relative", ".attn.relative"),
    (".attention.", ".attn."),
    (".intermediate.dense.", ".mlp.fc1."),
    (".output.dense.", ".mlp.fc2."),
)


def laion_name(own: str) -> PublishedName | None:
    """Return where LAION's checkpoint has a tensor of `transformers.ClapModel`; None for its tables of counting."""
    if own.startswith("text_model.embeddings.") and own.endswith("_ids"):
        return None
    name = own
    for ours, theirs in _PIECES:
        name = name.replace(ours, theirs)
    if name.startswith("audio_branch.layers."):
        for ours, theirs in _OF_BLOCKS:
            name = name.replace(ours, theirs)
    match = _QKV.match(name)
    if match is None:
        return PublishedName(name)
    return PublishedName(f"{match[1]}.qkv.{name[match.end() :]}", ("query", "key", "value").index(match[2]))


def clap_config(
    *, audio: Mapping[str, object] | None = None, text: Mapping[str, object] | None = None, joint: int = 512
) -> ClapConfig:
    """Return the configuration of the published network, with the norm epsilon that its text branch was made with.

    Args:
        audio: what differs in transformers' `ClapAudioConfig`, for a smaller network of the same kind.
        text: what differs in its `ClapTextConfig`.
        joint: width of the embeddings.
    """
    from transformers import ClapConfig

    return ClapConfig(
        audio_config={"enable_fusion": True, **(audio or {})},
        text_config={"layer_norm_eps": _TEXT_NORM_EPS, **(text or {})},
        projection_dim=joint,
    )


class ClapNetwork(SpeaksPublishedNames):
    """Both branches of CLAP, with the names of LAION's checkpoints (630k-audioset-fusion-best.pt).

    Args:
        config: of `clap_config`; None is the published network.
    """

    unused = (
        "audio_branch.spectrogram_extractor.",
        "audio_branch.logmel_extractor.",
        "audio_branch.tscam_conv.",
        "audio_branch.head.",
        "audio_transform.",
        "text_transform.",
        "text_branch.embeddings.position_ids",
        # Masks of shifted windows, which follow from the sizes.
        *(f"audio_branch.layers.{layer}.blocks.{block}.attn_mask" for layer in range(4) for block in range(1, 6, 2)),
    )

    def __init__(self, config: ClapConfig | None = None) -> None:
        from transformers import ClapModel

        super().__init__()
        whole = ClapModel(config or clap_config())
        _count_positions(whole.text_model.embeddings)
        # Its parts stand here by their own names, so that no prefix has to be cut off.
        for name, module in whole.named_children():
            self.add_module(name, module)
        self.logit_scale_a, self.logit_scale_t = whole.logit_scale_a, whole.logit_scale_t
        self.translate(laion_name)

    def embed_audio(self, mels: torch.Tensor, *, is_longer: torch.Tensor | None = None) -> torch.Tensor:
        """Return unit vectors (B, joint) of sounds.

        Args:
            mels: (B, 4, T, 64) log-mel in decibels; of a sound of up to 10 s four times the same.
            is_longer: (B,) bool: which sounds were longer than 10 s, whose four spectrograms differ and are fused;
                None says that none was. (`ClapFeatureExtractor` says so of a random sound of each batch.)
        """
        if is_longer is None:
            is_longer = torch.zeros(len(mels), dtype=torch.bool, device=mels.device)
        heard = self.get_submodule("audio_model")(input_features=mels, is_longer=is_longer[:, None]).pooler_output
        projected = self.get_submodule("audio_projection")(heard)
        return torch.nn.functional.normalize(projected, dim=-1)

    def embed_text(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return unit vectors (B, joint) of texts.

        Args:
            ids: (B, L) tokens of RoBERTa, filled up with `PADDING_TOKEN`.
            mask: (B, L) whole numbers: 1 where there is text.
        """
        read = self.get_submodule("text_model")(input_ids=ids, attention_mask=mask).pooler_output
        return torch.nn.functional.normalize(self.get_submodule("text_projection")(read), dim=-1)


def _count_positions(embeddings: nn.Module) -> None:
    """Make the tables of counting, for which nothing is published, where they are needed: never on the meta device."""
    places = embeddings.get_buffer("position_ids").shape[1]
    with torch.device("cpu"):
        embeddings.register_buffer("position_ids", torch.arange(places)[None])
        embeddings.register_buffer("token_type_ids", torch.zeros(1, places, dtype=torch.long))
