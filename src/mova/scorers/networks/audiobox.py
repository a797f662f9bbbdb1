"""Audiobox Aesthetics: four opinions of a sound by WavLM and small heads.

WavLM is that of transformers; the names are those of the published checkpoint (Tjandra et al., Meta Audiobox
Aesthetics, 2025; facebookresearch/audiobox-aesthetics, package 0.0.4).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final

import torch
from torch import nn

from mova.scorers.networks.published_names import PublishedName, SpeaksPublishedNames

if TYPE_CHECKING:
    from transformers import WavLMConfig

AXES: Final = ("CE", "CU", "PC", "PQ")
"""Content enjoyment, content usefulness, production complexity, production quality."""
_WAVLM: Final = "wavlm_model."
_WHOLE: Final = {
    "masked_spec_embed": "mask_emb",
    "feature_projection.projection.weight": "post_extract_proj.weight",
    "feature_projection.projection.bias": "post_extract_proj.bias",
    "feature_projection.layer_norm.weight": "layer_norm.weight",
    "feature_projection.layer_norm.bias": "layer_norm.bias",
    "encoder.pos_conv_embed.conv.bias": "encoder.pos_conv.0.bias",
    "encoder.pos_conv_embed.conv.parametrizations.weight.original0": "encoder.pos_conv.0.weight_g",
    "encoder.pos_conv_embed.conv.parametrizations.weight.original1": "encoder.pos_conv.0.weight_v",
}
_OF_LAYERS: Final = (
    (".attention.gru_rel_pos_const", ".self_attn.grep_a"),
    (".attention.gru_rel_pos_linear.", ".self_attn.grep_linear."),
    (".attention.rel_attn_embed.", ".self_attn.relative_attention_bias."),
    (".attention.", ".self_attn."),
    (".feed_forward.intermediate_dense.", ".fc1."),
    (".feed_forward.output_dense.", ".fc2."),
)


def audiobox_name(own: str) -> PublishedName:
    """Return the name in the published checkpoint of a tensor of `AudioboxNetwork`'s modules."""
    name = own.removeprefix(_WAVLM)
    if name == own:
        return PublishedName(own)
    name = _WHOLE.get(name, name)
    if name.startswith("feature_extractor.conv_layers."):
        name = name.replace(".conv.", ".0.").replace(".layer_norm.", ".2.")
    if name.startswith("encoder.layers."):
        name = name.replace(".layer_norm.", ".self_attn_layer_norm.")
        for ours, theirs in _OF_LAYERS:
            name = name.replace(ours, theirs)
    return PublishedName(_WAVLM + name)


def valid_frames(lengths: torch.Tensor, samples: int, frames: int) -> torch.Tensor:
    """Return how many frames the original counts as sound: (B,) whole numbers.

    The samples of a window are cut into as many equal pieces as there are frames, what is left over at the end being
    dropped; a frame counts where one sample of its piece is sound. (By the lengths of its convolutions WavLM would
    count two fewer of 403.)

    Args:
        lengths: (B,) samples of sound at the beginning of each window.
        samples: of a window.
        frames: of WavLM in a window.
    """
    piece = samples // frames
    return ((lengths + piece - 1) // piece).clamp(max=frames)


class AudioboxNetwork(SpeaksPublishedNames):
    """WavLM, and one head for each of `AXES`, with the names of the published checkpoint.

    Args:
        blocks: linear layers of a head, the last without a norm.
        has_norm: whether the others have layer norms.
        unit_length: whether what heads see has length 1.
        wavlm: transformers' `WavLMConfig` of another size; None is the published one.
    """

    def __init__(
        self,
        *,
        blocks: int = 5,
        has_norm: bool = True,
        unit_length: bool = True,
        wavlm: WavLMConfig | None = None,
    ) -> None:
        from transformers import WavLMConfig, WavLMModel

        super().__init__()
        config = wavlm or WavLMConfig()
        self.unit_length = unit_length
        self.wavlm_model = WavLMModel(config)
        self.proj_layer = nn.ModuleDict({axis: _head(config.hidden_size, blocks, has_norm) for axis in AXES})
        layers = config.num_hidden_layers + 1
        self.layer_weights = nn.ParameterDict({axis: nn.Parameter(torch.full((layers,), 1 / layers)) for axis in AXES})
        self.translate(audiobox_name)

    def forward(self, sound: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return (B, 4) opinions in the order of `AXES`, as the network was taught: normalised by mean and spread.

        Args:
            sound: (B, S) at 16 kHz, filled up with silence; in the original always 10 s.
            lengths: (B,) samples of sound in each, 1 or more.
        """
        layers, valid = self.layers(sound, lengths)
        inside = (torch.arange(layers[0].shape[1], device=sound.device)[None] < valid[:, None])[..., None]
        means = torch.stack([(layer * inside).sum(1) / valid[:, None] for layer in layers])
        found = []
        for axis in AXES:
            # The mean over time and the weighted sum over layers may change places: 13 rows instead of 13 x 499.
            heard = torch.einsum("lbc,l->bc", means, self.layer_weights[axis].softmax(0))
            if self.unit_length:
                heard = nn.functional.normalize(heard, dim=-1)
            found.append(self.proj_layer[axis](heard)[:, 0])
        return torch.stack(found, dim=1)

    def layers(self, sound: torch.Tensor, lengths: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Return what WavLM's encoder gets and each of its layers gives, (B, frames, width), and the valid frames.

        Args:
            sound: (B, S).
            lengths: (B,).
        """
        wavlm = self.wavlm_model
        receptive, step = _reach(wavlm.config)
        valid = valid_frames(lengths, sound.shape[1], (sound.shape[1] - receptive) // step + 1)
        # As many samples as make WavLM count these frames by its own way.
        samples = (valid - 1) * step + receptive
        mask = (torch.arange(sound.shape[1], device=sound.device)[None] < samples[:, None]).long()
        with warnings.catch_warnings():
            # A mask of truth values beside a bias of numbers, inside transformers.
            warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask")
            found = wavlm(sound, attention_mask=mask, output_hidden_states=True)
        return list(found.hidden_states), valid


def _head(width: int, blocks: int, has_norm: bool) -> nn.Sequential:
    between: list[nn.Module] = []
    for _ in range(blocks - 1):
        between += [nn.Linear(width, width), *([nn.LayerNorm(width)] if has_norm else []), nn.GELU()]
    return nn.Sequential(*between, nn.Linear(width, 1))


def _reach(config: WavLMConfig) -> tuple[int, int]:
    """Return how many samples one frame hears, and how many lie between two."""
    reach, step = 1, 1
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        reach, step = reach + (kernel - 1) * step, step * stride
    return reach, step
