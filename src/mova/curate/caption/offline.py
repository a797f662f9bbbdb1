"""The captioner that needs no model: plain sentences from what scorers found in a clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from mova.curate.caption.compose import with_subtitles_note
from mova.curate.caption.evidence import union, value, voice_spans, without_text
from mova.curate.records import Caption, ClipRecord
from mova.scorers.base import Span

# Mean optical flow in pixels from frame to frame, at 4 per second and 144 lines.
_STILL, _CALM = 0.3, 2.0
# Integrated loudness in LUFS.
_FAINT, _QUIET, _LOUD = -45.0, -30.0, -15.0
_MOST_TAGS: Final = 5
_MOST_TEXTS: Final = 5
_LONGEST_TEXT: Final = 120
_VOICE_TAGS: Final = frozenset({"speech", "singing", "silence"})


def caption_offline(record: ClipRecord, frame_rate: float = 24.0) -> ClipRecord:
    """Return a clip with captions: the same ones for the same findings, without looking at its file.

    Args:
        record: with the scores, tags, spans and texts of the stage before.
        frame_rate: frames per second of the clip.
    """
    duration_s = record.num_frames / frame_rate
    visual, speech, audio = _visual(record), _speech(record, duration_s), _audio(record, duration_s)
    merged = " ".join(part for part in (visual, speech, audio) if part)
    texts = {"visual": visual, "speech": speech, "audio": audio}
    texts["merged"] = with_subtitles_note(merged, no_subtitles=without_text(record))
    return replace(record, captions={name: Caption(text) for name, text in texts.items()})


def _visual(record: ClipRecord) -> str:
    sentences = [f"{_shots(record.cuts_s)}{_movement(value(record, 'motion'))}."]
    dark, frozen = value(record, "black_share") or 0.0, value(record, "freeze_share") or 0.0
    if dark > 0.05:
        sentences.append("The image is black for a part of the time.")
    if frozen > 0.05:
        sentences.append("The image stands still for a part of the time.")
    shown = [" ".join(text.split())[:_LONGEST_TEXT].replace('"', "'") for text in record.texts[:_MOST_TEXTS]]
    if any(shown):
        quoted = [f'"{text}"' for text in shown if text]
        sentences.append(f"On the screen stands {_listed(quoted)}.")
    elif (value(record, "text_area") or 0.0) > 0:
        sentences.append("There is text on the screen.")
    return " ".join(sentences)


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


def _speech(record: ClipRecord, duration_s: float) -> str:
    singing = record.spans.get("singing", ())
    speaking = union([*record.speech, *record.spans.get("speech", ())])
    told = [f"Someone speaks {_times(speaking, duration_s)}." if speaking else ""]
    told.append(f"Someone sings {_times(singing, duration_s)}." if singing else "")
    return " ".join(part for part in told if part)


def _audio(record: ClipRecord, duration_s: float) -> str:
    loudness, silence = value(record, "loudness_lufs"), value(record, "silence_share")
    if silence is not None and silence >= 0.999:
        return "The audio is silent."
    music = record.spans.get("music", ())
    heard = [tag.strip().lower() for tag in record.tags if tag.strip().lower() not in _VOICE_TAGS]
    heard = [tag for tag in dict.fromkeys(heard) if not (music and tag == "music")][:_MOST_TAGS]
    parts = ([f"music {_times(music, duration_s)}"] if music else []) + heard
    voice = "a voice" if voice_spans(record) else ""
    level = "" if loudness is None else _level(loudness)
    if not parts and not voice and not level:
        return ""
    what = _listed([part for part in (*parts, voice) if part]) or "sounds without a name"
    return f"The audio features {what}{f', {level}' if level else ''}."


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
