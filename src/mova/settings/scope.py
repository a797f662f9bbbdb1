"""What a model was trained for, as a file beside its weights says, and what of a request lies outside of it.

`mova_scope.json` holds words, scenes (one of these words must be there), sizes [width, height], numbers of frames,
frame rates, whether a last frame works without a first one, and colours of which a known image has a fifth. All are
optional: of a model without the file nothing is said. No torch here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mova.errors import CheckpointError, MovaError
from mova.files.json_file import Fields, read_object, shorten, shorten_text
from mova.names import SCOPE_FILE
from mova.settings.sampling import SamplingSettings

_MOST_BYTES = 2**20
_COLOUR_TOLERANCE = 12  # levels of 255
_LEAST_SHARE = 0.2
_MOST_NAMED = 6


@dataclass(frozen=True)
class Scope:
    """What a model knows; empty values say nothing.

    Attributes:
        words: of its captions, lower case.
        scenes: words of which a prompt needs one.
        sizes: (width, height) in pixels.
        num_frames: lengths of clips.
        frame_rates: in frames per second.
        last_image_alone: whether a last frame works without a first one.
        image_colours: (red, green, blue) of 0 to 255; a fifth of a known image has one of them.
    """

    words: frozenset[str] = frozenset()
    scenes: tuple[str, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()
    num_frames: tuple[int, ...] = ()
    frame_rates: tuple[float, ...] = ()
    last_image_alone: bool = True
    image_colours: tuple[tuple[int, int, int], ...] = ()

    def outside(
        self, prompt: str, settings: SamplingSettings, image: Path | None = None, last_image: Path | None = None
    ) -> list[str]:
        """Return in words what of a request the model does not know.

        Args:
            prompt: what happens and what is heard.
            settings: sizes, length and frame rate.
            image, last_image: files of the first and the last frame.
        """
        found = self._of_prompt(prompt)
        size = (settings.width, settings.height)
        if self.sizes and size not in self.sizes:
            known = " and ".join(f"{width}x{height}" for width, height in self.sizes)
            found.append(f"{size[0]}x{size[1]} pixels (it knows {known})")
        if self.num_frames and settings.num_frames not in self.num_frames:
            found.append(f"{settings.num_frames} frames (it knows {' and '.join(map(str, self.num_frames))})")
        if self.frame_rates and settings.frame_rate not in self.frame_rates:
            known = " and ".join(f"{rate:g}" for rate in self.frame_rates)
            found.append(f"{settings.frame_rate:g} frames per second (it knows {known})")
        if last_image is not None and image is None and not self.last_image_alone:
            found.append("a last frame without a first one")
        images = {"first frame": image, "last frame": last_image}
        found += [
            f"a {name} in other colours than its own ({path.name})"
            for name, path in images.items()
            if path is not None and self._is_foreign(path)
        ]
        return found

    def strange_words(self, prompt: str) -> list[str]:
        """Return the words of a prompt that are not of the model's captions; none where it does not say its words."""
        return [word for word in _words_of(prompt) if word not in self.words] if self.words else []

    def _of_prompt(self, prompt: str) -> list[str]:
        words, strange = _words_of(prompt), self.strange_words(prompt)
        found = []
        if strange:
            more = f" and {len(strange) - _MOST_NAMED} more" if len(strange) > _MOST_NAMED else ""
            named = shorten_text(", ".join(strange[:_MOST_NAMED]))
            found.append(f"the word{'s' if len(strange) > 1 else ''} {named}{more}")
        if self.scenes and not any(word in self.scenes for word in words):
            found.append(f"a scene without any of {', '.join(self.scenes)}")
        return found

    def _is_foreign(self, path: Path) -> bool:
        if not self.image_colours:
            return False
        import numpy as np

        from mova.media.frames import read_image

        try:
            pixels = read_image(path)
        except MovaError:
            return False  # it is refused where it is used
        # Some ten thousand pixels say enough.
        step = max(1, int((pixels.shape[0] * pixels.shape[1] / 10_000) ** 0.5))
        sample = pixels[::step, ::step, None].astype(np.int16)
        near = (np.abs(sample - np.array(self.image_colours, np.int16)).max(-1) <= _COLOUR_TOLERANCE).any(-1)
        return float(near.mean()) < _LEAST_SHARE


def read_scope(folder: Path) -> Scope:
    """Read what a model says that it knows; nothing where it has no such file.

    Raises:
        CheckpointError: the file is damaged.
    """
    if not (folder / SCOPE_FILE).is_file():
        return Scope()
    record = read_object(folder / SCOPE_FILE, error=CheckpointError, most_bytes=_MOST_BYTES)
    return Scope(
        words=frozenset(word.lower() for word in record.texts("words", [])),
        scenes=tuple(record.texts("scenes", [])),
        sizes=tuple((width, height) for width, height in _whole(record, "sizes", 2)),
        num_frames=tuple(number for (number,) in _whole(record, "num_frames", 1)),
        frame_rates=tuple(float(rate) for (rate,) in _whole(record, "frame_rates", 1)),
        last_image_alone=record.flag("last_image_alone", True),
        image_colours=tuple((red, green, blue) for red, green, blue in _whole(record, "image_colours", 3)),
    )


def _words_of(prompt: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r"[^\W\d_]+", prompt.lower())))


def _whole(record: Fields, key: str, length: int) -> list[tuple[Any, ...]]:
    """Return a list of numbers, or of rows of `length` numbers."""
    rows = [tuple(row) if isinstance(row, list) else (row,) for row in record.list(key, [])]
    for row in rows:
        if len(row) != length or any(isinstance(value, bool) or not isinstance(value, int | float) for value in row):
            raise CheckpointError(f"{record.where}: {key} must be numbers, {length} each, got {shorten(row)}")
    return rows
