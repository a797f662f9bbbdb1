"""API keys: read from the environment variable that a recipe names, shown nowhere."""

from __future__ import annotations

import os
import re
from typing import Final

from mova.errors import ConfigError

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# A shorter one would be found in ordinary words, and taken out of them.
_SHORTEST_SECRET: Final = 6
HIDDEN: Final = "***"


def check_name(variable: str) -> None:
    """Check that a text can be the name of an environment variable, and is not the key itself.

    Args:
        variable: the name; "" stands for no key.

    Raises:
        ConfigError: it cannot; the text is not repeated, since it may be a key.
    """
    if variable and (not _NAME.fullmatch(variable) or len(variable) > 128):
        raise ConfigError(
            "api_key_env must be the name of an environment variable (letters, digits and underscores, for example "
            "MY_API_KEY), and what stands there is none; a key itself does not belong into a recipe"
        )


def read_key(variable: str) -> str:
    """Return an API key.

    Args:
        variable: name of the environment variable that holds it; "" where the endpoint wants none.

    Raises:
        ConfigError: the variable is not set, or holds what cannot be sent.
    """
    check_name(variable)
    if not variable:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(f"the environment variable {variable} must hold the API key, and is not set")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(f"the environment variable {variable} must hold an API key: printable ASCII without spaces")
    return key


def hide(text: str, key: str) -> str:
    """Return a text with a key taken out of it.

    Args:
        text: from anywhere: endpoints repeat keys in what they complain of.
        key: the secret; "" hides nothing.
    """
    return text.replace(key, HIDDEN) if len(key) >= _SHORTEST_SECRET else text
