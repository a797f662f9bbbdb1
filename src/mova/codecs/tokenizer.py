"""A tokenizer from its tokenizer.json alone, where nothing else has a say in how text becomes tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mova.errors import CheckpointError
from mova.files.json_file import read_object

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_FILES: Final = {"tokenizer.json", "tokenizer_config.json"}
_SINGLE: Final = ("eos_token", "pad_token", "unk_token")
_LISTS: Final = ("additional_special_tokens", "extra_special_tokens")
_KEYS: Final = {*_SINGLE, *_LISTS, "extra_ids", "model_max_length", "tokenizer_class"}
# What transformers takes where a file says nothing.
_WITHOUT_LIMIT: Final = int(1e30)


class FileTokenizer:
    """What prompts need of a tokenizer of transformers, with the same tokens.

    Args:
        backend: read from tokenizer.json.
        pad_token_id: of its vocabulary.
        model_max_length: most tokens of a prompt.
    """

    def __init__(self, backend: Tokenizer, pad_token_id: int, model_max_length: int) -> None:
        self.backend, self.pad_token_id, self.model_max_length = backend, pad_token_id, model_max_length
        backend.no_truncation()
        backend.no_padding()

    def __call__(self, text: str, **_: object) -> dict[str, list[int]]:
        """Return the tokens of a text, end mark included, however many there are."""
        return {"input_ids": list(self.backend.encode(text).ids)}

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """Return the text of tokens."""
        text: str = self.backend.decode(list(ids), skip_special_tokens=skip_special_tokens)
        return text


def read_file_tokenizer(directory: Path) -> FileTokenizer | None:
    """Read a tokenizer without transformers, where its settings do not change what tokenizer.json says.

    Args:
        directory: checked already (`load_tokenizer`).

    Returns:
        None where anything is there that transformers might act upon; it has to read the folder then.
    """
    if {path.name for path in directory.glob("[!.]*")} != _FILES:
        return None
    config = read_object(directory / "tokenizer_config.json", error=CheckpointError).values
    names = _special_tokens(config)
    length = config.get("model_max_length")
    if names is None or not (length is None or (type(length) is int and length >= 1)):
        return None
    from tokenizers import Tokenizer

    backend = Tokenizer.from_file(str(directory / "tokenizer.json"))
    special = {token.content for token in backend.get_added_tokens_decoder().values() if token.special}
    pad = backend.token_to_id(str(config.get("pad_token")))
    if not names <= special or pad is None:
        return None
    return FileTokenizer(backend, pad, _WITHOUT_LIMIT if length is None else length)


def _special_tokens(config: Mapping[str, object]) -> set[str] | None:
    """Return the texts of the special tokens that a config names; None where it says anything else."""
    found: list[object] = [config[name] for name in _SINGLE if name in config]
    for name in _LISTS:
        listed = config.get(name) or []
        if not isinstance(listed, list):
            return None
        found += listed
    texts = {text for text in found if isinstance(text, str)}
    is_plain = config.keys() <= _KEYS and len(texts) == len(set(map(str, found))) and "pad_token" in config
    return texts if is_plain else None
