"""VideoReward: Qwen2-VL with adapters and a head that gives a number at each of three marks of the text.

Qwen2-VL is that of transformers; the names are those of the published checkpoint (Liu et al., Improving video
generation with human feedback, 2025; KlingTeam/VideoReward), whose adapters are not merged.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Final, NamedTuple

import torch
from torch import nn

from mova.scorers.networks.published_names import PublishedName, SpeaksPublishedNames

if TYPE_CHECKING:
    from transformers import Qwen2VLConfig

MARKS: Final = ("<|VQ_reward|>", "<|MQ_reward|>", "<|TA_reward|>")
"""In the text: visual quality, motion quality, alignment with the text."""
_LANGUAGE: Final = "model.language_model."
_ADAPTED: Final = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class Adapters(NamedTuple):
    """What was added to the linear layers of the language model.

    Attributes:
        rank: of each addition.
        scale: that it is multiplied by.
    """

    rank: int = 64
    scale: float = 2.0


def video_reward_name(own: str) -> PublishedName:
    """Return the name in the published checkpoint of a tensor of `VideoRewardNetwork`'s modules."""
    if own.startswith(_LANGUAGE):
        return PublishedName(f"model.{own.removeprefix(_LANGUAGE)}")
    return PublishedName(own.removeprefix("model.") if own.startswith("model.visual.") else own)


class VideoRewardNetwork(SpeaksPublishedNames):
    """Qwen2-VL without its own head, with the names of the published checkpoint behind "base_model.model.".

    Args:
        config: of Qwen2-VL, with as many rows of its vocabulary as the tokenizer has with the marks.
        adapters: of the checkpoint.
        dtype: in which it computes.
    """

    unused = ("lm_head.",)

    def __init__(
        self, config: Qwen2VLConfig, adapters: Adapters | None = None, dtype: torch.dtype = torch.bfloat16
    ) -> None:
        from transformers import Qwen2VLModel

        super().__init__()
        self.model = Qwen2VLModel(config).to(dtype)
        for layer in self.model.language_model.layers:
            for part in (layer.self_attn, layer.mlp):
                for name, module in list(part.named_children()):
                    if name in _ADAPTED:
                        part.add_module(name, _Adapted(module, adapters or Adapters(), dtype))
        self.rm_head = nn.Linear(config.text_config.hidden_size, 1, bias=False, dtype=dtype)
        self._count_turns(config)
        self.translate(video_reward_name)

    def forward(
        self,
        ids: torch.Tensor,
        patches: torch.Tensor,
        grid: tuple[int, int, int],
        places: torch.Tensor,
        marks: tuple[int, ...],
    ) -> torch.Tensor:
        """Return one number for each mark: (3,) float32.

        Args:
            ids: (L,) tokens, each mark once among them, and as many places for the video as it has tokens.
            patches: (N, 1176) of `front_ends.qwen_video.patches`.
            grid: of the video.
            places: (3, 1, L) of `front_ends.qwen_video.token_places`.
            marks: tokens of `MARKS`.

        Raises:
            ValueError: a mark is not there exactly once, as where a prompt names it.
        """
        found = [(ids == mark).nonzero()[:, 0] for mark in marks]
        if any(len(one) != 1 for one in found):
            raise ValueError(f"a text must have each of {', '.join(MARKS)} once, got {[len(one) for one in found]}")
        hidden = self.model(
            input_ids=ids[None],
            attention_mask=torch.ones_like(ids)[None],
            position_ids=places,
            pixel_values_videos=patches,
            video_grid_thw=torch.tensor([list(grid)], device=ids.device),
            use_cache=False,
        ).last_hidden_state[0]
        rewards: torch.Tensor = self.rm_head(hidden[torch.cat(found)])[:, 0].float()
        return rewards

    def _count_turns(self, config: Qwen2VLConfig) -> None:
        """Make the angles of rotary embeddings, which are not published: never on the meta device, in float32."""
        language, visual = self.model.language_model, self.model.visual
        kind = type(visual.rotary_pos_emb)
        # Up to transformers 5.x it is made of a width, later of the configuration.
        takes_config = "config" in inspect.signature(kind.__init__).parameters
        width = config.vision_config.embed_dim // config.vision_config.num_heads
        with torch.device("cpu"):
            language.add_module("rotary_emb", type(language.rotary_emb)(config.text_config))
            visual.add_module("rotary_pos_emb", kind(config.vision_config if takes_config else width // 2))


class _Adapted(nn.Module):
    def __init__(self, base: nn.Linear, adapters: Adapters, dtype: torch.dtype) -> None:
        super().__init__()
        self._scale = adapters.scale
        self.base_layer = base
        device = base.weight.device
        down = nn.Linear(base.in_features, adapters.rank, bias=False, device=device, dtype=dtype)
        up = nn.Linear(adapters.rank, base.out_features, bias=False, device=device, dtype=dtype)
        nn.init.zeros_(up.weight)
        self.lora_A, self.lora_B = nn.ModuleDict({"default": down}), nn.ModuleDict({"default": up})

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        added: torch.Tensor = self.lora_B["default"](self.lora_A["default"](tokens))
        kept: torch.Tensor = self.base_layer(tokens)
        return kept + added * self._scale
