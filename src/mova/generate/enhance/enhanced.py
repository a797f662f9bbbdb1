"""What an enhancement brings: the text, what changed, what failed on the way, and the first frame that goes with it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from mova.errors import ConfigError
from mova.files.json_file import Fields
from mova.settings.sampling import NOTHING_GIVEN, GivenSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_LETTERS = 8000
"""Of a text that is enhanced: several pages, and far more than a model reads."""


class CallEnd(StrEnum):
    """How a call to an endpoint ended, as it is told to users.

    Attributes:
        OK: a whole reply.
        RATE_LIMITED: the endpoint asked for patience (HTTP 429) until the attempts or the time were spent.
        SERVER_ERROR: it failed (HTTP 5xx).
        NOT_ACCEPTED: it takes no such request: wrong key, address, model or body (other HTTP statuses).
        TIMEOUT: no whole reply came in time.
        BROKEN: no connection, or one that broke in the middle of a reply, or a body that is no reply.
        EMPTY: the reply had no text, or no image.
        REFUSED: the model declined.
        FILTERED: a filter of the provider kept the reply.
        LENGTH: the reply was cut at its longest length.
        INVALID: the reply had not the form that was asked for, twice.
        FAULTY: the text broke the rules of a prompt, and so did the one that was asked for in its place.
        BUDGET: nothing was asked, since the budget is spent.
    """

    OK = "ok"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    NOT_ACCEPTED = "not_accepted"
    TIMEOUT = "timeout"
    BROKEN = "broken"
    EMPTY = "empty"
    REFUSED = "refused"
    FILTERED = "filtered"
    LENGTH = "length"
    INVALID = "invalid"
    FAULTY = "faulty"
    BUDGET = "budget"


@dataclass(frozen=True)
class Call:
    """One call that an enhancement made.

    Attributes:
        step: what it was for: "frame", "text", "repair", "image prompt" or "image".
        end: how it ended.
        detail: what is known of an end that is not `OK`; holds no secret.
        host: of the endpoint; "" for a pipeline of this machine.
        model: that was asked.
        attempts: requests that were sent.
        seconds: that it took.
        tokens: of requests and replies, as the endpoint counts.
    """

    step: str
    end: CallEnd
    detail: str = ""
    host: str = ""
    model: str = ""
    attempts: int = 0
    seconds: float = 0.0
    tokens: int = 0


@dataclass(frozen=True)
class FrameDescription:
    """What a vision model says of a first frame.

    Attributes:
        style: visual style.
        camera: cinematography: shot size, angle, light.
        elements: people, things and surroundings.
        texts: what can be read, exactly as written.
    """

    style: str
    camera: str
    elements: str
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Enhanced:
    """A prompt as a model wants it.

    Attributes:
        text: the prompt.
        original: what the user wrote.
        changes: what was taken in place of what the user wrote, as sentences.
        problems: what failed or is left out, as sentences.
        is_fallback: whether `text` is the user's own, since nothing better could be made.
        frame_description: of the first frame; None where nobody looked at it.
        first_frame: (H, W, 3) uint8 that was made for the text; None where none was.
        settings: sampling settings that suit the text better than the model's own; few texts have any.
        provider: who wrote the text: "toy world", "offline", or the host of the endpoint.
        model: name of the text model; "" without one.
        calls: all calls, in order.
    """

    text: str
    original: str
    changes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    is_fallback: bool = False
    frame_description: FrameDescription | None = None
    first_frame: NDArray[np.uint8] | None = field(default=None, repr=False)
    settings: GivenSettings = NOTHING_GIVEN
    provider: str = "offline"
    model: str = ""
    calls: tuple[Call, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return all but the pixels as JSON values; `first_frame` is its size [width, height], or None."""
        values = {name: value for name, value in vars(self).items() if name != "first_frame"}
        frame = self.first_frame
        return {
            **values,
            "changes": list(self.changes),
            "problems": list(self.problems),
            "frame_description": None if self.frame_description is None else asdict(self.frame_description),
            "calls": [asdict(call) for call in self.calls],
            "settings": self.settings.values(),
            "first_frame": None if frame is None else [frame.shape[1], frame.shape[0]],
        }

    def record(self) -> EnhancementRecord:
        """Return what the file of a clip says of it."""
        return EnhancementRecord(self.original, self.provider, self.model, self.is_fallback, self.problems)


@dataclass(frozen=True)
class EnhancementRecord:
    """What the file of a clip says of the enhancement of its prompt.

    Attributes:
        original: what the user wrote; the clip's prompt is what was made of it.
        provider: who wrote the prompt.
        model: name of the text model; "" without one.
        is_fallback: whether the prompt is the user's own after all.
        problems: what failed or was left out.
    """

    original: str
    provider: str
    model: str = ""
    is_fallback: bool = False
    problems: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return the fields as JSON values."""
        return asdict(self) | {"problems": list(self.problems)}

    @classmethod
    def read(cls, record: Fields) -> EnhancementRecord:
        """Read the record of a clip.

        Raises:
            ConfigError: it is damaged.
        """
        return cls(
            record.text("original"),
            record.text("provider"),
            record.text("model", ""),
            record.flag("is_fallback", False),
            tuple(record.texts("problems", [])),
        )


def check_text(text: str) -> str:
    """Return a text that can be enhanced, without what files and endpoints cannot hold.

    Raises:
        ConfigError: no text, or too much of it.
    """
    plain = "".join(letter for letter in text if letter in "\n\t" or letter.isprintable())
    plain = plain.encode("utf-8", "replace").decode().strip()
    if not plain:
        raise ConfigError(f"text must hold words to be enhanced, got {text[:20]!r}")
    if len(plain) > MOST_LETTERS:
        raise ConfigError(
            f"text must have at most {MOST_LETTERS} letters to be enhanced, got {len(plain)}; nearest is {MOST_LETTERS}"
        )
    return plain
