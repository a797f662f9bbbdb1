"""Folders of the user: for settings, which nothing makes anew, and for caches, which are made anew when gone."""

from __future__ import annotations

import os
from pathlib import Path


def user_config_folder() -> Path:
    """Return the folder `mova` of the user's settings (`$XDG_CONFIG_HOME`, or `~/.config`); it need not be there.

    Without a home it is one that holds nothing.
    """
    return _folder("XDG_CONFIG_HOME", "APPDATA", ".config")


def user_cache_folder() -> Path:
    """Return the folder `mova` of the user's caches (`$XDG_CACHE_HOME`, or `~/.cache`); it need not be there yet.

    Without a home it is one that cannot be made, so that nothing is kept.
    """
    return _folder("XDG_CACHE_HOME", "LOCALAPPDATA", ".cache")


def _folder(variable: str, on_windows: str, in_home: str) -> Path:
    named = os.environ.get(variable) or (os.environ.get(on_windows) if os.name == "nt" else None)
    try:
        return (Path(named) if named else Path.home() / in_home) / "mova"
    except RuntimeError:
        return Path(os.devnull) / "mova"
