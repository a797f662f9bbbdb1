"""Where things lie that are made anew when they are gone: the cache folder of the user."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache_folder() -> Path:
    """Return the folder `mova` of the user's caches (`$XDG_CACHE_HOME`, or `~/.cache`); it need not be there yet.

    Without a home it is one that cannot be made, so that nothing is kept.
    """
    named = os.environ.get("XDG_CACHE_HOME") or (os.environ.get("LOCALAPPDATA") if os.name == "nt" else None)
    try:
        return (Path(named) if named else Path.home() / ".cache") / "mova"
    except RuntimeError:
        return Path(os.devnull) / "mova"
