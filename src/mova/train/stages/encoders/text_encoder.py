"""A small UMT5 encoder with its own tokenizer, trained to restore masked words of toy captions."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from mova.codecs.prompt import clean_prompt
from mova.models.presets import tiny_text_encoder
from mova.toyworld import sample_scene, split_seed
from mova.toyworld.caption import caption, draw_wording
from mova.train.config import TextEncoderConfig
from mova.train.loop.optimizer import ParameterGroup
from mova.train.loop.trainer import choose_device, noise_generator, step_generator
from mova.train.stages.encoders.seeded import SeededStage

if TYPE_CHECKING:
    from transformers import T5TokenizerFast, UMT5EncoderModel

_IGNORED = -100
_VALIDATION_CAPTIONS = 256
_RARE = -14.0  # logarithm of a character's probability: far below any word's


class TextEncoderStage(SeededStage):
    """Masked-word training of the text encoder; the encoder is frozen in every later stage, as in the paper.

    Args:
        config: the recipe; captions need no rendering.
    """

    name = "text_encoder"

    def __init__(self, config: TextEncoderConfig) -> None:
        from transformers import UMT5Config, UMT5EncoderModel

        self.config = config
        self.device = choose_device(config.run.device)
        torch.manual_seed(config.run.seed)
        captions = self._captions("train", config.data.num_clips)
        self.tokenizer = build_tokenizer(captions, config.max_tokens)
        # Rounded up to 64 rows: the vocabulary that the captions give decides.
        size = -(-len(self.tokenizer) // 64) * 64
        self.encoder = UMT5EncoderModel(UMT5Config(**tiny_text_encoder() | {"vocab_size": size})).to(self.device)
        _prefer_neighbours(self.encoder)
        self.mask_id: int = self.tokenizer.convert_tokens_to_ids("<extra_id_0>")
        self.head = nn.Linear(self.encoder.config.d_model, size).to(self.device)
        self.modules: Mapping[str, nn.Module] = {"encoder": self.encoder, "head": self.head}
        self.ids = self._ids(captions)
        self.validation = self._ids(self._captions("validation", _VALIDATION_CAPTIONS))

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """Relative positions learn ten times faster: at the base rate they take thousands of steps to matter."""
        named = [*self.encoder.named_parameters(), *self.head.named_parameters()]
        is_table = {name: "relative_attention_bias" in name for name, _ in named}
        return [
            ParameterGroup("layers", [p for name, p in named if not is_table[name]]),
            ParameterGroup("positions", [p for name, p in named if is_table[name]], lr_scale=10.0),
        ]

    def losses(self, step: int, _progress: float, /) -> tuple[dict[str, torch.Tensor]]:
        """Cross-entropy of the masked words of a random batch."""
        seed = self.config.run.seed
        generator = step_generator(seed, step)
        rows = torch.randint(len(self.ids), (self.config.run.batch_size,), generator=generator)
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            # The library's dropout draws from the global generator only.
            torch.manual_seed(noise_generator(seed, step, self.device).initial_seed())
            loss, _ = self._restore(self.ids[rows], generator)
        return ({"loss": loss},)

    def validate(self) -> dict[str, float]:
        """Loss and share of masked words restored on held-out captions."""
        loss, right = self._restore(self.validation, step_generator(self.config.run.seed + 1, 0))
        return {"masked_loss": float(loss), "masked_accuracy": float(right)}

    def export(self) -> None:
        """Write tokenizer and encoder."""
        self.encoder.save_pretrained(self.config.model / "text_encoder")
        self.tokenizer.save_pretrained(self.config.model / "tokenizer")

    def _captions(self, split: str, count: int) -> list[str]:
        data = self.config.data
        return [
            caption(
                sample_scene(split_seed(split, index), kinds=data.kinds, combinations=data.combinations),
                ranked=data.ranked_captions,
                wording=draw_wording(split_seed(split, index), data.paraphrases),
            )
            for index in range(count)
        ]

    def _ids(self, captions: Sequence[str]) -> torch.Tensor:
        """Return (N, P) token ids, padded with 0."""
        rows = [self.tokenizer(clean_prompt(text))["input_ids"][: self.config.max_tokens] for text in captions]
        ids = torch.zeros(len(rows), max(len(row) for row in rows), dtype=torch.long)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = torch.tensor(row)
        return ids

    def _restore(self, ids: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = (torch.rand(ids.shape, generator=generator) < self.config.mask_share) & (ids > 1)
        masked = ids.masked_fill(hidden, self.mask_id).to(self.device)
        attention = (ids > 0).long().to(self.device)
        logits = self.head(self.encoder(masked, attention_mask=attention).last_hidden_state)
        target = ids.masked_fill(~hidden, _IGNORED).to(self.device)
        loss = functional.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=_IGNORED)
        counted = target != _IGNORED
        right = (logits.argmax(-1) == target)[counted].float().mean()
        return loss, right


@torch.no_grad()
def _prefer_neighbours(encoder: UMT5EncoderModel) -> None:
    """Let the heads of every layer begin by looking at the words before and after, one and two away.

    From the library's initial values a whole run learned nothing but word frequencies; from these, over half of the
    masked words are restored after 40 steps.
    """
    half = encoder.config.relative_attention_num_buckets // 2
    offsets = (1, half + 1, 2, half + 2)  # buckets: distance backwards, then half plus distance forwards
    encoder.shared.weight.mul_(0.1)  # at unit size a word drowns what attention brings
    for name, bias in encoder.named_parameters():
        if "relative_attention_bias" in name:
            bias.zero_()
            for head in range(bias.shape[1]):
                bias[offsets[head % len(offsets)], head] = 4.0


def build_tokenizer(texts: Sequence[str], max_tokens: int) -> T5TokenizerFast:
    """Build a tokenizer in the T5 layout: pad 0, end 1, unknown 2, words of the texts, characters, one mask token last.

    Every word of the texts is one piece, scored by its frequency, and every printable ASCII character is a rare one, so
    that any English prompt can be written. (A trained unigram model of this few words splits most of them.)

    Args:
        texts: texts to take the words from.
        max_tokens: rows of a prompt embedding, end mark included.
    """
    from transformers import T5TokenizerFast

    words = Counter(word for text in texts for word in re.findall(r"[\w'-]+|[^\w\s]", clean_prompt(text)))
    total = sum(words.values())
    pieces = {f"▁{word}" if word[0].isalnum() else word: math.log(count / total) for word, count in words.items()}
    pieces = dict(sorted(pieces.items(), key=lambda item: (-item[1], item[0])))
    for character in ["▁", *string.printable.strip()]:
        pieces.setdefault(character, _RARE)
    special = [(token, 0.0) for token in ("<pad>", "</s>", "<unk>")]
    return T5TokenizerFast(
        vocab=[*special, *pieces.items(), ("<extra_id_0>", 0.0)], extra_ids=1, model_max_length=max_tokens
    )
