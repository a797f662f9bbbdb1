"""What is asked of a long clip, checked before anything heavy is imported or loaded (no torch here)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from mova.conditioning.windows import WindowMethod, check_method
from mova.errors import ConfigError, ReadError
from mova.files.json_file import Fields, shorten
from mova.pipeline.long.prompts import PromptTrack


@dataclass(frozen=True, kw_only=True)
class LongChoice:
    """How a clip becomes longer than the model makes at once.

    Attributes:
        length_s: of the whole file, in seconds, a clip that is extended included; None: one window more than that clip.
        extend: clip to go on from; its frames and audio stand at the beginning of the file.
        overlap_s: seconds that a window takes over from the one before; None is a quarter of a window.
        method: "continue", window after window, or "joint".
        prompts_at: (seconds, prompt) that hold from there on, in the time of the file.

    Raises:
        ConfigError, ReadError: a value that cannot be used.
    """

    length_s: float | None = None
    extend: Path | None = None
    overlap_s: float | None = None
    method: WindowMethod = "continue"
    prompts_at: tuple[tuple[float, str], ...] = ()

    def __post_init__(self) -> None:
        check_method(self.method)
        if self.extend is not None and not self.extend.is_file():
            raise ReadError(f"extend must be a file that exists, got {self.extend}")
        if self.length_s is not None and not (math.isfinite(self.length_s) and self.length_s > 0):
            raise ConfigError(f"length must be a number of seconds above 0, got {self.length_s:g}; nearest is 1")
        if self.length_s is None and self.extend is None:
            raise ConfigError(
                "overlap, windows and prompt-at are for a clip of several windows, got neither --length nor --extend; "
                "give the --length of the clip in seconds"
            )
        if self.method == "joint" and self.extend is not None:
            raise ConfigError(
                f"windows that are made jointly go on from no clip, got --extend {self.extend}; nearest is "
                "--windows continue"
            )
        PromptTrack.of("the first", self.prompts_at)

    @classmethod
    def read(cls, record: Fields, extend: Path | None) -> LongChoice:
        """Read what `record` returned.

        Args:
            record: of a clip.
            extend: the clip that it goes on from.

        Raises:
            MovaError: a value of another kind, or one that no clip can have.
        """
        later = []
        for one in record.list("prompts_at", []):
            if not isinstance(one, list) or len(one) != 2 or not isinstance(one[1], str):
                raise record.error(f"{record.where}: prompts_at must be pairs of seconds and text, got {shorten(one)}")
            where = f"{record.where}: prompts_at"
            later.append((Fields({"time": one[0]}, where, record.error).number("time"), one[1]))
        return cls(
            length_s=record.number("length_s") if "length_s" in record else None,
            extend=extend,
            overlap_s=record.number("overlap_s") if "overlap_s" in record else None,
            method=check_method(record.text("method", "continue")),
            prompts_at=tuple(later),
        )

    def record(self) -> dict[str, object]:
        """Return it as JSON values, without the clip that is extended."""
        values = {
            "length_s": self.length_s,
            "overlap_s": self.overlap_s,
            "method": self.method,
            "prompts_at": [list(one) for one in self.prompts_at],
        }
        return {name: value for name, value in values.items() if value not in (None, [])}


def parse_prompt_at(text: str) -> tuple[float, str]:
    """Read TIME=TEXT.

    Raises:
        ConfigError: another form, or a time that is no number.
    """
    time, sign, prompt = text.partition("=")
    try:
        seconds = float(time)
    except ValueError:
        seconds = math.nan
    if not sign or not math.isfinite(seconds):
        raise ConfigError(f"prompt-at must be TIME=TEXT with a time in seconds, got {shorten(text)}; such as 4=a ball")
    return seconds, prompt


def read_choice(
    *,
    length: float | None,
    extend: Path | None,
    overlap: float | None,
    windows: str | None,
    prompts_at: list[str] | None,
) -> LongChoice | None:
    """Return what the options of a command ask for; None where they ask for no long clip.

    Raises:
        ConfigError, ReadError: as of `LongChoice` and `parse_prompt_at`.
    """
    if length is None and extend is None and overlap is None and windows is None and not prompts_at:
        return None
    return LongChoice(
        length_s=length,
        extend=extend,
        overlap_s=overlap,
        method=check_method(windows or "continue"),
        prompts_at=tuple(parse_prompt_at(text) for text in prompts_at or ()),
    )
