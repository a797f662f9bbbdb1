"""The files that make a model, beside the weights and configs of its components (no torch here)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mova.names import DEFAULTS_FILE, FEW_STEPS_FILE, INDEX_FILE, PREVIEW_FILE, QUANTIZATION_REPORT_FILE, SCOPE_FILE

_TEXTS = ("README.md", "LICENSE", "LICENSE.md", "LICENSE.txt", "NOTICE")
MODEL_FILES: Final = (
    INDEX_FILE,
    DEFAULTS_FILE,
    SCOPE_FILE,
    FEW_STEPS_FILE,
    PREVIEW_FILE,
    "training_log.jsonl",
    *_TEXTS,
)
"""In the folder of a model."""
FOLDER_FILES: Final[Mapping[str, tuple[str, ...]]] = {
    "scheduler": ("scheduler_config.json",),
    "tokenizer": (
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "spiece.model",
        "tokenizer.model",
    ),
}
"""In the folders of components without weights."""
COMPONENT_FILES: Final = (QUANTIZATION_REPORT_FILE, *_TEXTS)
"""In the folder of a component with weights, besides those that `write_component` writes."""
