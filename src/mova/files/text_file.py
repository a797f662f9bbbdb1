"""Text files that people wrote, with whatever editor: bounded in size, in any form of Unicode."""

from __future__ import annotations

import json
from pathlib import Path

from mova.errors import MovaError


def read_text(path: Path, what: str, *, error: type[MovaError], most_bytes: int) -> str:
    """Read a text in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    Args:
        path: of the file.
        what: the file must be, for error texts: "prompts must be a text file".
        error: class to raise.
        most_bytes: a larger file is refused before it is decoded.

    Raises:
        MovaError: of the class `error`: missing, too large, or in another encoding.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except OSError as problem:
        raise error(f"{what} that can be read, got {path}: {problem.strerror or problem}") from problem
    if len(content) > most_bytes:
        raise error(f"{what} of at most {most_bytes} bytes, got {path} with more; split it")
    # By the zero bytes of its first characters, where no byte order mark says it.
    encoding = json.detect_encoding(content)
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as problem:
        name = encoding.upper().removesuffix("-SIG")
        raise error(
            f"{what} in UTF-8, UTF-16 or UTF-32, got {path}, no {name} from byte {problem.start} on; save it as UTF-8"
        ) from problem
