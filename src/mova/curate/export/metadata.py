"""The list of clips that the official trainer reads: a JSON array of video_path and caption."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from mova.curate.export.kept import KeptClip
from mova.files.replacing import replacing


def write_metadata(path: Path, clips: Iterable[KeptClip], *, absolute_paths: bool = False) -> int:
    """Write the list, complete or as it was before; the same clips make the same bytes.

    Args:
        path: of the list.
        clips: in their order; one is in memory at a time.
        absolute_paths: whether paths begin at the root; else at the folder of the list.

    Returns:
        How many clips it has.

    Raises:
        OSError: it cannot be written.
    """
    # Of the real folder: a path up from a link leads elsewhere.
    home = path.parent.resolve()
    count = 0
    with replacing(path) as partial, partial.open("w", encoding="ascii", newline="\n") as file:
        file.write("[")
        for clip in clips:
            media = clip.media.resolve()
            shown = media if absolute_paths else Path(os.path.relpath(media, home))
            entry = {"video_path": shown.as_posix(), "caption": clip.caption}
            file.write(("," if count else "") + "\n" + json.dumps(entry))
            count += 1
        file.write("\n]\n")
    return count
