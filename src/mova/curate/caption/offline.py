"""The captioner that needs no model: plain sentences from what scorers found in a clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from mova.curate.caption.evidence import union, value, voice_spans, without_text
from mova.curate.records import Caption, ClipRecord
from mova.names import NO_SUBTITLES
from mova.scorers.base import Span

# Mean optical flow in pixels from frame to frame, at 4 per second and 144 lines.
_STILL, _CALM = 0.3, 2.0
# Integrated loudness in LUFS.
_FAINT, _QUIET, _LOUD = -45.0, -30.0, -15.0
_MOST_TAGS: Final = 5
_MOST_TEXTS: Final = 5
_LONGEST_TEXT: Final = 120
_VOICE_TAGS: Final = frozenset({"speech", "singing", "silence"})


@dataclass(frozen=True)
class _Saying:
    """A sentence of a caption.

    Attributes:
        part: of the caption that it belongs to.
        rank: where there is no room for all, the least ones are said.
        text: the sentence.
        short: what is left of it where there is little room; "" where it is said whole or not at all.
    """

    part: str
    rank: int
    text: str
    short: str = ""


def caption_offline(record: ClipRecord, frame_rate: float = 24.0, most_chars: int | None = None) -> ClipRecord:
    """Return a clip with captions: the same ones for the same findings, without looking at its file.

    Args:
        record: with the scores, tags, spans and texts of the stage before.
        frame_rate: frames per second of the clip.
        most_chars: characters of the merged caption at most, 60 or more: what matters least is left out first.
            None says all.
    """
    duration_s = record.num_frames / frame_rate
    sayings = [*_visual(record), *_speech(record, duration_s), *_audio(record, duration_s)]
    texts = {
        part: " ".join(saying.text for saying in sayings if saying.part == part)
        for part in ("visual", "speech", "audio")
    }
    if without_text(record):
        sayings.append(_Saying("", 4, NO_SUBTITLES))
    told = [saying.text for saying in sayings] if most_chars is None else _most_important(sayings, most_chars)
    texts["merged"] = " ".join(told)
    return replace(record, captions={name: Caption(text) for name, text in texts.items()})


def _most_important(sayings: Sequence[_Saying], most_chars: int) -> list[str]:
    """Return the sentences that fit into so many characters: chosen by rank, in the order in which they were given."""
    ranked = sorted(range(len(sayings)), key=lambda place: sayings[place].rank)
    chosen: dict[int, str] = {}
    room = most_chars + 1
    # As many as can be, and then as whole as can be.
    for texts in ([saying.short or saying.text for saying in sayings], [saying.text for saying in sayings]):
        for place in ranked:
            more = len(texts[place]) - len(chosen[place]) if place in chosen else len(texts[place]) + 1
            if more <= room:
                chosen[place], room = texts[place], room - more
    return [chosen[place] for place in sorted(chosen)]


def _visual(record: ClipRecord) -> list[_Saying]:
    movement = _movement(value(record, "motion"))
    number = f"{len(record.cuts_s) + 1} shots{movement}." if record.cuts_s else ""
    told = [_Saying("visual", 0, f"{_shots(record.cuts_s)}{movement}.", number)]
    dark, frozen = value(record, "black_share") or 0.0, value(record, "freeze_share") or 0.0
    if dark > 0.05:
        told.append(_Saying("visual", 5, "The image is black for a part of the time."))
    if frozen > 0.05:
        told.append(_Saying("visual", 6, "The image stands still for a part of the time."))
    shown = [" ".join(text.split())[:_LONGEST_TEXT].replace('"', "'") for text in record.texts[:_MOST_TEXTS]]
    there = "There is text on the screen."
    if any(shown):
        quoted = [f'"{text}"' for text in shown if text]
        told.append(_Saying("visual", 2, f"On the screen stands {_listed(quoted)}.", there))
    elif (value(record, "text_area") or 0.0) > 0:
        told.append(_Saying("visual", 2, there))
    return told


def _shots(cuts_s: Sequence[float]) -> str:
    if not cuts_s:
        return "One shot without a cut"
    times = _listed([f"{time:.1f} s" for time in cuts_s])
    return f"{len(cuts_s) + 1} shots, with {'a cut' if len(cuts_s) == 1 else 'cuts'} at {times}"


def _movement(motion: float | None) -> str:
    if motion is None:
        return ""
    return ", in which " + (
        "hardly anything moves" if motion < _STILL else "things move calmly" if motion < _CALM else "much moves"
    )


def _speech(record: ClipRecord, duration_s: float) -> list[_Saying]:
    singing = record.spans.get("singing", ())
    speaking = union([*record.speech, *record.spans.get("speech", ())])
    return [
        _Saying("speech", 1, f"Someone {does} {_times(spans, duration_s)}.", f"Someone {does}.")
        for does, spans in (("speaks", speaking), ("sings", singing))
        if spans
    ]


def _audio(record: ClipRecord, duration_s: float) -> list[_Saying]:
    loudness, silence = value(record, "loudness_lufs"), value(record, "silence_share")
    if silence is not None and silence >= 0.999:
        return [_Saying("audio", 3, "The audio is silent.")]
    music = record.spans.get("music", ())
    heard = [tag.strip().lower() for tag in record.tags if tag.strip().lower() not in _VOICE_TAGS]
    heard = [tag for tag in dict.fromkeys(heard) if not (music and tag == "music")][:_MOST_TAGS]
    parts = ([f"music {_times(music, duration_s)}"] if music else []) + heard
    voice = "a voice" if voice_spans(record) else ""
    level = "" if loudness is None else _level(loudness)
    if not parts and not voice and not level:
        return []
    what = _listed([part for part in (*parts, voice) if part]) or "sounds without a name"
    text = f"The audio features {what}{f', {level}' if level else ''}."
    # A voice is told of already where somebody speaks or sings.
    named = _listed([*(["music"] if music else []), *heard[:2]])
    return [_Saying("audio", 3, text, f"The audio features {named}." if named else "")]


def _level(loudness: float) -> str:
    if loudness < _FAINT:
        return "hardly to be heard"
    return "quiet" if loudness < _QUIET else "of middling loudness" if loudness < _LOUD else "loud"


def _times(spans: Sequence[Span], duration_s: float) -> str:
    covered = sum(end - start for start, end in spans)
    if covered >= 0.95 * duration_s:
        return "throughout"
    return _listed([f"from {start:.1f} s to {end:.1f} s" for start, end in spans])


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""
