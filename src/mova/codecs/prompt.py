"""Prompts to text embeddings: clean the text, run the UMT5 encoder, zero the rows past the end of the text.

Both towers attend to every row, also the zero ones, so the number of rows is part of the contract: 512 in the published
models, fewer where the tokenizer says so (`model_max_length`).
"""

from __future__ import annotations

import html
import logging
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

from mova.codecs.tokenizer import read_file_tokenizer
from mova.errors import CheckpointError, ConfigError
from mova.files.json_file import MOST_BYTES, Fields, read_object, shorten_text
from mova.models.text_encoder import is_own_text_encoder_wanted

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, UMT5EncoderModel

MAX_PROMPT_TOKENS = 512
# Of tokenizers that are made from other files than tokenizer.json: none of them brings code.
_TOKENIZER_CLASSES = ("T5Tokenizer", "T5TokenizerFast", "UMT5Tokenizer", "PreTrainedTokenizerFast", "TokenizersBackend")
_TOKENIZER_FILES = ("tokenizer.json", "spiece.model", "tokenizer.model")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CutPrompt:
    """A prompt that was longer than the model reads.

    Attributes:
        index: index of the prompt in its batch.
        num_tokens: number of tokens of the whole prompt, end mark included.
        max_tokens: number of tokens that the model reads, end mark included.
        removed_text: the end of the prompt, which has no effect.
    """

    index: int
    num_tokens: int
    max_tokens: int
    removed_text: str

    def __str__(self) -> str:
        return (
            f"prompt has {self.num_tokens} tokens and the model reads {self.max_tokens}; "
            f"this end of it has no effect: {textwrap.shorten(self.removed_text, 200)!r}"
        )


@dataclass(frozen=True)
class PromptEmbeds:
    """What both towers read.

    Attributes:
        embeds: (B, P, C) in the text encoder's dtype, zero past the end of each text.
        num_tokens: (B,) rows that hold text, end mark included.
        cut: one record for each prompt that was too long.
    """

    embeds: torch.Tensor
    num_tokens: torch.Tensor
    cut: tuple[CutPrompt, ...] = ()


def clean_prompt(text: str) -> str:
    """Repair mojibake, resolve HTML entities (twice, as the release does) and join white space into single spaces."""
    if not (text.isascii() and text.isprintable() and "&" not in text):
        # Nothing of this changes plain text, and the tables of ftfy take longer to import than a step of a small model.
        import ftfy

        text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return re.sub(r"\s+", " ", text).strip()


def load_tokenizer(directory: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model directory from its files alone.

    Args:
        directory: the `tokenizer` folder of a model.

    Returns:
        One of transformers; inside `own_text_encoder` a `FileTokenizer` where that gives the same.

    Raises:
        CheckpointError: the folder holds no usable tokenizer, or one that is made by code of its own.
    """
    _check_tokenizer_files(directory)
    try:
        tokenizer = _read_tokenizer(directory)
        tokenizer("a", truncation=False, verbose=False)
        is_usable = isinstance(tokenizer.pad_token_id, int) and max_prompt_tokens(tokenizer) >= 1
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the parser of tokenizer.json panics of some contents: no Exception
        reason = shorten_text(str(error)) or type(error).__name__
        raise CheckpointError(f"tokenizer cannot be loaded from {directory}: {reason}") from error
    if not is_usable:
        raise CheckpointError(f"{directory} must hold a tokenizer with a pad_token of its vocabulary, got one without")
    return tokenizer


def _read_tokenizer(directory: Path) -> PreTrainedTokenizerBase:
    own = read_file_tokenizer(directory) if is_own_text_encoder_wanted() else None
    if own is not None:
        # It has all that is asked of a tokenizer here.
        return cast("PreTrainedTokenizerBase", own)
    # transformers 5 rebuilds a T5 tokenizer with a fixed pre-tokenizer and other special ids than the file says; the
    # generic class takes `tokenizer.json` as it was published.
    if (directory / "tokenizer.json").is_file():
        from transformers import PreTrainedTokenizerFast as loader  # noqa: N813
    else:
        from transformers import AutoTokenizer as loader  # noqa: N813
    tokenizer: PreTrainedTokenizerBase = loader.from_pretrained(
        directory, local_files_only=True, trust_remote_code=False
    )
    return tokenizer


def _check_tokenizer_files(directory: Path) -> None:
    """Refuse code, other types and sizes without bounds before a library reads the files."""
    for path in sorted(directory.glob("*")) if directory.is_dir() else ():
        if path.name in _TOKENIZER_FILES and path.is_file():
            if path.stat().st_size > MOST_BYTES:
                raise CheckpointError(f"{path} must have at most {MOST_BYTES} bytes, got {path.stat().st_size}")
        elif path.suffix in (".json", ".jinja", ".model") and not path.is_file():
            raise CheckpointError(f"{path} must be a file, and is something else")
        elif path.suffix == ".json":
            _check_tokenizer_config(path, read_object(path, error=CheckpointError))


def _check_tokenizer_config(path: Path, config: Fields) -> None:
    if path.name in ("tokenizer_config.json", "config.json") and not (path.parent / "tokenizer.json").is_file():
        for key in ("auto_map", "custom_pipelines"):
            if key in config:
                raise CheckpointError(
                    f"{path} must not ask for code of its own ({key}): it is never run; take a tokenizer with a "
                    "tokenizer.json"
                )
        name = config.text("tokenizer_class", _TOKENIZER_CLASSES[0])
        if path.name == "tokenizer_config.json" and name not in _TOKENIZER_CLASSES:
            raise CheckpointError(
                f"{path}: tokenizer_class must be one of {', '.join(_TOKENIZER_CLASSES)}, got {shorten_text(name)!r}; "
                "or take a tokenizer with a tokenizer.json"
            )
    if path.name == "tokenizer_config.json" and config.values.get("model_max_length") is not None:
        config.number("model_max_length", least=1)


def max_prompt_tokens(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return P: the rows of the embeddings, end mark included."""
    return min(MAX_PROMPT_TOKENS, int(tokenizer.model_max_length))


def find_cut_prompts(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str]) -> tuple[CutPrompt, ...]:
    """Say which prompts are too long and what of them has no effect; needs no text encoder."""
    return _tokenize(tokenizer, prompts)[1]


@torch.no_grad()
def encode_prompts(
    tokenizer: PreTrainedTokenizerBase, text_encoder: UMT5EncoderModel, prompts: Sequence[str]
) -> PromptEmbeds:
    """Embed prompts as the published models expect them.

    Args:
        tokenizer: tokenizer of the text encoder.
        text_encoder: UMT5 encoder; the tokens go to its device.
        prompts: B texts, as the user wrote them.

    Returns:
        Embeddings of P = `max_prompt_tokens(tokenizer)` rows. What was cut from a prompt that is too long is in `cut`
        and in the log as a warning.

    Raises:
        ConfigError: there is no prompt.
    """
    if not prompts:
        raise ConfigError("prompts must hold at least one text, got none")
    token_ids, cut = _tokenize(tokenizer, prompts)
    for record in cut:
        logger.warning("%s", record)
    num_tokens = torch.tensor([len(ids) for ids in token_ids])
    # Rows past the longest text are zero in any case: the encoder does not run on them.
    width = int(num_tokens.max())
    _check_ids(token_ids, text_encoder)
    padded = torch.tensor([ids + [tokenizer.pad_token_id] * (width - len(ids)) for ids in token_ids])
    mask = torch.arange(width) < num_tokens[:, None]
    device = text_encoder.device
    hidden = text_encoder(padded.to(device), attention_mask=mask.to(device).long()).last_hidden_state
    embeds = hidden.new_zeros(len(prompts), max_prompt_tokens(tokenizer), hidden.shape[-1])
    embeds[:, :width] = hidden.masked_fill(~mask.to(device)[..., None], 0.0)
    return PromptEmbeds(embeds=embeds, num_tokens=num_tokens, cut=cut)


def _check_ids(token_ids: Sequence[Sequence[int]], text_encoder: UMT5EncoderModel) -> None:
    largest = max((token for ids in token_ids for token in ids), default=-1)
    size = text_encoder.get_input_embeddings().num_embeddings
    if not 0 <= largest < size:
        raise CheckpointError(
            f"tokenizer and text encoder must belong together: of the prompt comes token {largest}, the text encoder "
            f"has 0 to {size - 1}"
        )


def _tokenize(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str]
) -> tuple[list[list[int]], tuple[CutPrompt, ...]]:
    limit = max_prompt_tokens(tokenizer)
    kept: list[list[int]] = []
    cut: list[CutPrompt] = []
    for index, prompt in enumerate(prompts):
        ids: list[int] = tokenizer(clean_prompt(prompt), truncation=False, verbose=False)["input_ids"]
        if len(ids) > limit:
            removed = tokenizer.decode(ids[limit - 1 : -1], skip_special_tokens=True)
            cut.append(CutPrompt(index, len(ids), limit, removed))
            ids = [*ids[: limit - 1], ids[-1]]
        kept.append(ids)
    return kept, tuple(cut)
