"""What the files of several clips are called that are made from one name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

NUMBER: Final = re.compile(r"%(?:0(\d))?d")
"""Where the number of a clip stands in a name: `%d` or `%03d`."""


def numbered(output: Path, number: int, total: int) -> Path:
    """Return the file of clip `number` of `total`: its number where `%03d` stands in the name, or at the name's end."""
    digits = max(3, len(str(total - 1)))
    if NUMBER.search(output.name):
        return output.with_name(NUMBER.sub(lambda found: f"{number:0{int(found[1] or 1)}d}", output.name, count=1))
    return output.with_name(f"{output.stem}-{number:0{digits}d}{output.suffix}")
