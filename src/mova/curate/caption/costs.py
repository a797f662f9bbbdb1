"""What captions will cost before any are made: calls and tokens for each clip, as estimates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from mova.curate.caption.instructions import MERGE, SPEECH, VISUAL
from mova.curate.config.caption import ROLES, CaptionSection
from mova.endpoints.messages import Audio, Image, Text

# Tokens of replies and of reports, thoughts included; estimates until a run of one's own has told better.
_REPLY: Final = {"visual": 900, "speech": 250, "audio": 300, "merge": 800}
_REPORTS: Final = 600
_REQUEST: Final = 40


class Cost(NamedTuple):
    """What calls take.

    Attributes:
        calls: requests, without repeated ones and repairs.
        tokens: of requests and replies.
    """

    calls: int
    tokens: int


def cost_by_role(section: CaptionSection, duration_s: float = 193 / 24) -> Mapping[str, Cost]:
    """Return what one clip takes from each endpoint; empty for the offline captioner.

    Args:
        section: of the recipe.
        duration_s: length of a clip.
    """
    if section.captioner == "offline" or section.visual is None:
        return {}
    short = section.visual.short_side
    images = section.visual.frames * Image.tokens_of(short, short * 16 // 9)
    audio = Audio.tokens_of(duration_s)
    sent = {
        "visual": Text(VISUAL).tokens + images,
        "speech": Text(SPEECH).tokens + audio,
        "audio": audio,
        "merge": Text(MERGE).tokens + _REPORTS,
    }
    return {role: Cost(1, sent[role] + _REQUEST + min(_REPLY[role], _most_tokens(section, role))) for role in ROLES}


def expected_calls(section: CaptionSection, num_clips: int, duration_s: float = 193 / 24) -> Cost:
    """Return what the captions of clips take.

    Args:
        section: of the recipe.
        num_clips: clips that come to stage 3.
        duration_s: length of a clip.
    """
    each = cost_by_role(section, duration_s).values()
    return Cost(num_clips * sum(cost.calls for cost in each), num_clips * sum(cost.tokens for cost in each))


def _most_tokens(section: CaptionSection, role: str) -> int:
    return int(getattr(section, role).max_tokens)
