"""Several clips of one command: what each is to be, from a list of prompts, and what its file is called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Final, TypeVar

from mova.errors import ConfigError
from mova.files.json_file import Fields, as_fields, parse_json, shorten
from mova.files.numbered import numbered
from mova.files.text_file import read_text
from mova.generate.given import parse_keyframe, parse_retake
from mova.generate.request import ClipOptions, GenerateRequest, MediaFiles
from mova.settings.sampling import GivenSettings
from mova.settings.size import parse_size

_Parsed = TypeVar("_Parsed")
MAX_CLIPS = 10_000
_MAX_BYTES = 64 * 2**20
# Options whose names differ from those of the settings; height and width are one option.
OPTION_NAMES: Final = {"num_inference_steps": "steps", "num_frames": "frames", "frame_rate": "fps"}
_OWN: Final = (
    *("prompt", "negative_prompt", "seed", "index", "start", "output"),
    *("keyframes", "retake", "only", "fit"),
)
_FILES: Final = tuple(item.name for item in fields(MediaFiles))
_SETTINGS: Final = (
    "size",
    *(OPTION_NAMES.get(item.name, item.name) for item in fields(GivenSettings) if item.name not in ("height", "width")),
)
KEYS: Final = (*_OWN, *_FILES, *_SETTINGS)


@dataclass(frozen=True)
class Job:
    """A clip to be made.

    Attributes:
        request: checked.
        output: its .mp4 file.
    """

    request: GenerateRequest
    output: Path


def read_prompts(path: Path) -> list[ClipOptions]:
    """Read what clips are wanted from a text file: a prompt in each line, or a JSON object with options of that clip.

    The keys are the names of the options, with underscores, and of all other sampling settings; `prompt` must be among
    them. Names of files are relative to the list. Empty lines are left out.

    Raises:
        ConfigError: no file, no UTF-8, no prompt, too many, or a line that cannot be used, with its number.
    """
    text = read_text(path, "prompts must be a text file", error=ConfigError, most_bytes=_MAX_BYTES)
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise ConfigError(f"prompts must hold a prompt in each line, got {path} without any")
    if len(lines) > MAX_CLIPS:
        raise ConfigError(f"prompts must hold at most {MAX_CLIPS} lines, got {path} with {len(lines)}")
    return [_read_line(line, f"{path}, line {number}", path.parent) for number, line in lines]


def make_jobs(
    wanted: list[ClipOptions],
    count: int | None,
    output: Path,
    make: Callable[[ClipOptions], GenerateRequest],
    *,
    is_list: bool,
) -> list[Job]:
    """Give each clip its request and its file.

    Args:
        wanted: of one clip or of each in a list; `index` is that of its first clip.
        count: clips of each, with numbers from its index on; None for one.
        output: the file of a single clip. Of several, a name with the clip's place in it: where `%03d` stands, or at
            its end (`clip.mp4` becomes `clip-000.mp4`).
        make: turns options into a request.
        is_list: whether `wanted` was read from a list, so that it counts as several even with one line.

    Raises:
        ConfigError: a count below 1, too many clips, or two clips with one name.
    """
    if count is not None and not 1 <= count <= MAX_CLIPS:
        raise ConfigError(
            f"count must lie between 1 and {MAX_CLIPS}, got {count}; nearest is {min(max(count, 1), MAX_CLIPS)}"
        )
    each = count or 1
    total = each * len(wanted)
    if total > MAX_CLIPS:
        raise ConfigError(f"count times prompts must be at most {MAX_CLIPS} clips, got {total}")
    if not is_list and total == 1:
        return [Job(make(wanted[0]), output)]
    jobs: list[Job] = []
    for place, options in enumerate(wanted):
        name = options.output
        for offset in range(each):
            own = replace(options, index=(options.index or 0) + offset)
            number = offset if name else place * each + offset
            pattern = output.with_name(name) if name else output
            jobs.append(Job(make(own), pattern if name and each == 1 else numbered(pattern, number, total)))
    _check_names(jobs)
    return jobs


def _check_names(jobs: list[Job]) -> None:
    taken: set[str] = set()
    for job in jobs:
        # Some file systems take upper and lower case for the same.
        name = job.output.name.casefold()
        if name in taken:
            raise ConfigError(f"output must be another file for each clip, got {job.output.name} twice")
        taken.add(name)


def _read_line(line: str, where: str, folder: Path) -> ClipOptions:
    if not line.startswith("{"):
        return ClipOptions(prompt=line)
    record = as_fields(parse_json(line, where, error=ConfigError), where, error=ConfigError)
    for key in record.values:
        if key not in KEYS:
            raise ConfigError(f"{where} must hold only {', '.join(KEYS)}; got {shorten(key)}")
    return ClipOptions(
        prompt=record.text("prompt"),
        negative_prompt=record.text("negative_prompt") if "negative_prompt" in record else None,
        seed=record.integer("seed") if "seed" in record else None,
        index=record.integer("index") if "index" in record else None,
        start_s=record.number("start") if "start" in record else None,
        files=MediaFiles(**{name: folder / record.text(name) for name in _FILES if name in record}),
        keyframes=_each(record, "keyframes", lambda text: parse_keyframe(text, folder)),
        retakes=_each(record, "retake", parse_retake),
        only=record.text("only") if "only" in record else None,
        fit=record.text("fit") if "fit" in record else None,
        settings=_read_settings(record),
        output=_plain_output(record.text("output"), where) if "output" in record else None,
    )


def _each(record: Fields, key: str, parse: Callable[[str], _Parsed]) -> tuple[_Parsed, ...] | None:
    return tuple(parse(text) for text in record.texts(key, [])) if key in record else None


def _read_settings(record: Fields) -> GivenSettings:
    width, height = parse_size(record.text("size")) if "size" in record else (None, None)
    named = {key: value for key, value in record.values.items() if key in _SETTINGS and key != "size"}
    settings = GivenSettings.read(replace(record, values=named), OPTION_NAMES)
    return replace(settings, width=width, height=height)


def _plain_output(name: str, where: str) -> str:
    if not name.lower().endswith(".mp4") or any(letter in name for letter in "/\\\0") or name.startswith("."):
        raise ConfigError(f"{where}: output must be the plain name of an .mp4 file, got {shorten(name)}; such as a.mp4")
    return name
