"""Who writes down what is said: an endpoint, or a model in a folder. Chosen here, and opened where it is needed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mova.errors import ConfigError

OPTION: Final = "--transcriber URL or FOLDER"
SPEAKERS_OPTION: Final = "--transcriber URL with --transcriber-speakers, for a model that writes tags such as [S01]"
DEFAULT_MODEL: Final = "whisper-1"
_MODEL_FILE: Final = "model.bin"


@dataclass(frozen=True)
class TranscriberChoice:
    """A transcriber, hashable and picklable.

    Attributes:
        base_url: of an endpoint with OpenAI's interface for transcription; "" for a folder.
        model: name that the endpoint knows it by.
        key_variable: environment variable that holds the key; "" where the endpoint wants none.
        folder: of a model of faster-whisper; None for an endpoint.
        sha256: digest of the folder's model.
        speakers: whether it tags who speaks, as in `[S01]`.
        timeout_s: seconds for one request.
        deadline_s: seconds for one clip, with all attempts.
        attempts: requests for one clip at most.
        most_calls: requests at most, of all processes that share a budget; None for no limit.
        budget: folder in which processes count their requests together; None counts those of one process.
    """

    base_url: str = ""
    model: str = DEFAULT_MODEL
    key_variable: str = ""
    folder: Path | None = None
    sha256: str = ""
    speakers: bool = False
    timeout_s: float = 120.0
    deadline_s: float = 300.0
    attempts: int = 4
    most_calls: int | None = None
    budget: Path | None = None

    @property
    def identity(self) -> str:
        """What its transcripts depend on, wherever a folder lies and however long a call may take."""
        return self.sha256 or f"{self.base_url} {self.model} {self.speakers}"

    @property
    def packages(self) -> tuple[str, ...]:
        """Modules that it imports."""
        return ("openai", "pydantic") if self.folder is None else ("faster_whisper",)


def choose_transcriber(
    place: str,
    *,
    model: str = "",
    key_variable: str = "",
    speakers: bool = False,
    most_calls: int | None = None,
) -> TranscriberChoice | None:
    """Return the transcriber that is asked for, checked without asking anybody; None where none is.

    Args:
        place: address of an endpoint, or a folder with a model of faster-whisper; "" for none.
        model: name that the endpoint knows it by; "" for `DEFAULT_MODEL`.
        key_variable: environment variable that holds the key; "" for none.
        speakers: whether it tags who speaks.
        most_calls: requests at most, of all processes together; None for no limit.

    Raises:
        ConfigError: it is neither; the key is not set; or an option does not go with it.
    """
    if most_calls is not None and most_calls < 1:
        raise ConfigError(f"transcriber-calls must be 1 or more, got {most_calls}; nearest is 1")
    if place.lower().startswith(("http:", "https:")):
        return _endpoint(place, model or DEFAULT_MODEL, key_variable, speakers=speakers, most_calls=most_calls)
    given = {"model": model, "key": key_variable, "speakers": speakers, "calls": most_calls}
    extra = next((name for name, value in given.items() if value), "")
    if extra:
        raise ConfigError(
            f"transcriber-{extra} goes with a transcriber that is an endpoint (http://HOST:PORT/v1), "
            f"got {place or 'none'}"
        )
    if not place:
        return None
    folder = Path(place).expanduser().absolute()
    if not (folder / _MODEL_FILE).is_file():
        raise ConfigError(
            "transcriber must be the address of an endpoint (http://HOST:PORT/v1) or a folder with a model of "
            f"faster-whisper ({_MODEL_FILE}), got {place}"
        )
    return TranscriberChoice(folder=folder, sha256=_sha256(folder))


def _endpoint(url: str, model: str, key_variable: str, *, speakers: bool, most_calls: int | None) -> TranscriberChoice:
    try:
        from mova.endpoints.keys import read_key
        from mova.endpoints.settings import check_base_url
    except ModuleNotFoundError as error:
        raise ConfigError(f"a transcriber behind an endpoint needs the extra `endpoints`: {error}") from error
    try:
        base_url = check_base_url(url)
    except ValueError as error:
        raise ConfigError(f"transcriber {error}") from error
    if len(model) > 300:
        raise ConfigError(f"transcriber-model must have at most 300 characters, got {len(model)}")
    read_key(key_variable)
    return TranscriberChoice(base_url, model, key_variable, speakers=speakers, most_calls=most_calls)


def _sha256(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in (".bin", ".json", ".txt"):
            with path.open("rb") as file:
                digest.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()
