"""How a repository of the hub is asked for, in the words of diffusers (no torch here)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Hub:
    """How a repository is asked for; the fields are those of `huggingface_hub`.

    Attributes:
        revision: branch, tag or commit.
        token: access token of the user; True takes the one that is stored.
        cache_dir: where downloads are kept.
        local_files_only: take what is there, ask nobody.
        force_download: fetch again what is there.
    """

    revision: str | None = None
    token: str | bool | None = None
    cache_dir: str | Path | None = None
    local_files_only: bool = False
    force_download: bool = False

    def arguments(self) -> dict[str, Any]:
        """Return what is to be said to `huggingface_hub`: what differs from what it does anyway."""
        usual = asdict(Hub())
        return {name: value for name, value in asdict(self).items() if value != usual[name]}
