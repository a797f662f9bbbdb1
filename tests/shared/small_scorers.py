"""Files of scorers at a thousandth of the published size: tokenizers, and what belongs to VideoReward."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import Qwen2VLConfig

from mova.scorers.networks.audiobox import AXES, AudioboxNetwork
from mova.scorers.networks.video_reward import MARKS, Adapters, VideoRewardNetwork

HEADS = {"proj_num_layer": 5, "proj_ln": True, "nth_layer": 13, "output_dim": 1, "normalize_embed": True}
TARGETS = {axis: {"mean": 5.0 + place, "std": 1.5} for place, axis in enumerate(AXES)}
VIDEO_TOKEN = "<|video_pad|>"
QWEN_WORDS = ("<unk>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", VIDEO_TOKEN)
TEMPLATE = f"Judge it. {MARKS[0]} {MARKS[1]} Prompt - {{text_prompt}} {MARKS[2]}\n"


def save_roberta(path: Path) -> None:
    """Write a tokenizer of whole words with RoBERTa's marks."""
    words = ("<s>", "<pad>", "</s>", "<unk>", "a", "dog", "barks", "rain")
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path))


def audiobox_checkpoint(network: AudioboxNetwork) -> dict[str, object]:
    """Return what the published file of Audiobox Aesthetics holds, with the weights of a network."""
    state = {f"model.{name}": tensor for name, tensor in network.state_dict().items()}
    return {"state_dict": state, "model_cfg": HEADS, "target_transform": TARGETS}


def reward_config(vocabulary: int, video_token: int) -> Qwen2VLConfig:
    """Return a Qwen2-VL of two layers."""
    return Qwen2VLConfig(
        text_config={
            "hidden_size": 32,
            "intermediate_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "vocab_size": vocabulary,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1_000_000.0},
        },
        vision_config={"depth": 1, "embed_dim": 16, "num_heads": 2, "hidden_size": 32},
        video_token_id=video_token,
    )


def save_video_reward(folder: Path) -> None:
    """Write the five files of a small VideoReward into `video_reward` of a folder of weights."""
    place = folder / "video_reward"
    place.mkdir(parents=True)
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(QWEN_WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens([*QWEN_WORDS[1:], *MARKS])
    tokenizer.save(str(place / "tokenizer.json"))
    config = reward_config(tokenizer.get_vocab_size(), QWEN_WORDS.index(VIDEO_TOKEN))
    (place / "config.json").write_text(config.to_json_string(use_diff=False))
    (place / "prompt_template.py").write_text(f"OTHER = 1\nDETAILED_PROMPT_WITH_SPECIAL_TOKEN = {TEMPLATE!r}\n")
    settings = {
        "data_config": {"fps": 2.0, "max_frame_pixels": 128 * 28 * 28, "eval_dim": ["VQ", "MQ", "TA"]},
        "model_config": {"output_dim": 1, "reward_token": "special"},
        "peft_lora_config": {"lora_r": 4, "lora_alpha": 8},
        "inference_config": {f"{axis}_{part}": value for axis in ("VQ", "MQ", "TA") for part, value in MOMENTS},
    }
    (place / "model_config.json").write_text(json.dumps(settings))
    torch.manual_seed(0)
    state = VideoRewardNetwork(config, Adapters(4, 2.0)).state_dict()
    stored = {f"base_model.model.{name}": tensor for name, tensor in state.items()}
    torch.save(stored | {"base_model.model.lm_head.weight": torch.zeros(2, 2)}, place / "model.pth")


MOMENTS = (("mean", 0.5), ("std", 0.25))
