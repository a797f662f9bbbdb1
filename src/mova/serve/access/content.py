"""A hook for whoever must not make everything: asked about each prompt before it is queued, and each clip before it is
shown.

The settings name it, `content_filter: module:function`; the function takes `(kind, value)`: `"prompt"` and a text, or
`"clip"` and the path of an mp4. It returns None to let it pass, or a sentence that says why not.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from mova.errors import ConfigError
from mova.files.json_file import shorten_text

_LOG = logging.getLogger(__name__)

Check = Callable[[Literal["prompt", "clip"], str], str | None]


class ContentFilter:
    """What may be asked for and shown.

    Args:
        hook: `module:function`; "" lets everything pass.

    Raises:
        ConfigError: there is no such function.
    """

    def __init__(self, hook: str) -> None:
        self._check: Check | None = _load(hook) if hook else None

    def prompt(self, *texts: str | None) -> str | None:
        """Return why texts are refused; None where they pass."""
        found = (self._ask("prompt", text) for text in texts if text)
        return next((reason for reason in found if reason is not None), None)

    def clip(self, path: Path) -> str | None:
        """Return why a clip is not shown; None where it is."""
        return self._ask("clip", str(path))

    def _ask(self, kind: Literal["prompt", "clip"], value: str) -> str | None:
        if self._check is None:
            return None
        try:
            reason = self._check(kind, value)
        except Exception:
            # A filter that fails lets nothing pass.
            _LOG.exception("the content filter has failed")
            return "The content filter has failed."
        return None if reason is None else shorten_text(str(reason), 300)


def _load(hook: str) -> Check:
    name, _, function = hook.partition(":")
    try:
        found: Any = getattr(importlib.import_module(name), function)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"content_filter must name a function that can be imported, got {hook}: {error}") from error
    if not callable(found):
        raise ConfigError(f"content_filter must name a function, got {hook}, which is {type(found).__name__}")
    check: Check = found
    return check
