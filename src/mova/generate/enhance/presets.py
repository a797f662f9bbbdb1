"""Entries of known providers: addresses, names of models, and the environment variables that hold keys by custom.

Names of models change; each can be given beside the entry. Servers of one's own (vLLM, SGLang, Ollama) serve whatever
they were started with, so that their entries name no model. Gemini's images are covered by its OpenAI-compatible layer
in part; DashScope and MiniMax make none through it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Entry = Mapping[str, object]

_GEMINI: Final = {
    "base_url": "https://generativelanguage.googleapis.com/v1beta/openai",
    "api_key_env": "GEMINI_API_KEY",
}
_QWEN: Final = {
    "base_url": "https://dashscope.aliyuncs.com/compatible-mode/v1",
    "api_key_env": "DASHSCOPE_API_KEY",
    "json_mode": "object",
}
_MINIMAX: Final = {
    "base_url": "https://api.minimax.io/v1",
    "api_key_env": "MINIMAX_API_KEY",
    "json_mode": "none",
    # Thoughts count as tokens of the reply; they are taken out of it.
    "max_tokens": 8192,
}


def _local(port: int) -> dict[str, dict[str, object]]:
    address = {"base_url": f"http://127.0.0.1:{port}/v1"}
    return {"text": dict(address), "vision": dict(address), "images": dict(address)}


LOCAL: Final = ("vllm", "sglang", "ollama")
PRESETS: Final[Mapping[str, Mapping[str, Entry]]] = {
    "gemini": {
        "text": {**_GEMINI, "model": "gemini-2.5-flash"},
        "vision": {**_GEMINI, "model": "gemini-2.5-flash"},
        "images": _GEMINI,
    },
    "qwen": {"text": {**_QWEN, "model": "qwen-plus"}, "vision": {**_QWEN, "model": "qwen3-vl-plus"}},
    "minimax": {"text": {**_MINIMAX, "model": "MiniMax-M2", "temperature": 0.7}},
    "vllm": _local(8000),
    "sglang": _local(30000),
    "ollama": _local(11434),
}
