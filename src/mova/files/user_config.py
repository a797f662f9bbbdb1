"""Where a user's settings lie that nothing makes anew."""

from __future__ import annotations

import os
from pathlib import Path


def user_config_folder() -> Path:
    """Return the folder `mova` of the user's settings (`$XDG_CONFIG_HOME`, or `~/.config`); it need not be there.

    Without a home it is one that holds nothing.
    """
    named = os.environ.get("XDG_CONFIG_HOME") or (os.environ.get("APPDATA") if os.name == "nt" else None)
    try:
        return (Path(named) if named else Path.home() / ".config") / "mova"
    except RuntimeError:
        return Path(os.devnull) / "mova"
