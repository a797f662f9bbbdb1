"""The four calls of a clip: what is seen, said and heard, and one caption of it, checked and repaired once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mova.curate.caption.instructions import MERGE, SPEECH, VISUAL, frames_request, merge_repair, speech_request
from mova.curate.caption.media import Shown
from mova.curate.caption.reports import MergeReport, SpeechReport, Utterance, VisualReport
from mova.endpoints.client import Client
from mova.endpoints.messages import Audio, Message, assistant, system, user
from mova.endpoints.outcomes import Answer, Outcome, Reply
from mova.endpoints.quotations import faults
from mova.endpoints.replies import declines


@dataclass(frozen=True)
class Parts:
    """What a caption is made of.

    Attributes:
        visual: what is seen; "" for nothing.
        texts: what can be read.
        utterances: what is said.
        audio: what is heard; "" for nothing.
    """

    visual: str
    texts: tuple[str, ...] = ()
    utterances: tuple[Utterance, ...] = ()
    audio: str = ""


async def write_visual(client: Client, shown: Shown, label: str) -> Answer[VisualReport]:
    """Ask for the report on the frames.

    Args:
        client: of the model that looks.
        shown: the clip.
        label: for the record of the call.
    """
    asked = user(frames_request(shown.times_s, shown.duration_s), *shown.images)
    return await client.ask([system(VISUAL), asked], VisualReport, label)


async def write_speech(client: Client, audio: Audio, duration_s: float, label: str) -> Answer[SpeechReport]:
    """Ask for the report on what is said; arguments as of `write_visual`."""
    asked = user(speech_request(duration_s), audio)
    return await client.ask([system(SPEECH), asked], SpeechReport, label)


async def write_audio(client: Client, audio: Audio, request: str, label: str) -> Reply:
    """Ask for a description of what is heard.

    Args:
        client: of the model that listens.
        audio: of the clip.
        request: sentence beside it; "" sends the audio alone.
        label: for the record of the call.
    """
    reply = await client.chat([user(*([request] if request else []), audio)], label)
    if reply.outcome is Outcome.OK and declines(reply.text):
        return replace(reply, outcome=Outcome.REFUSED, text="", detail=reply.text)
    return reply


async def write_merged(client: Client, parts: Parts, label: str) -> Answer[MergeReport]:
    """Ask for one caption of all parts; one that misquotes is asked to be written anew, once.

    Returns:
        The outcome is `INVALID` where the second one misquotes, too.
    """
    messages: list[Message] = [system(MERGE), user(_as_json(parts))]
    first = await client.ask(messages, MergeReport, label)
    wrong = _misquotes(first, parts)
    if first.value is None or not wrong:
        return first
    repeated = assistant(first.value.model_dump_json())
    second = await client.ask([*messages, repeated, user(merge_repair(wrong))], MergeReport, f"{label} words")
    reply = replace(second.reply, usage=first.reply.usage + second.reply.usage)
    wrong = _misquotes(second, parts)
    if second.value is not None and wrong:
        return Answer(replace(reply, outcome=Outcome.INVALID, text="", detail=" ".join(wrong)), None)
    return Answer(reply, second.value)


def _misquotes(answer: Answer[MergeReport], parts: Parts) -> tuple[str, ...]:
    if answer.value is None:
        return ()
    words: Sequence[str] = [said.words for said in parts.utterances]
    return faults(answer.value.merged_caption, words, parts.texts)


def _as_json(parts: Parts) -> str:
    return json.dumps(
        {
            "video_description": parts.visual or None,
            "on_screen_text": list(parts.texts) or None,
            "speech_description": [said.model_dump() for said in parts.utterances] or None,
            "audio_description": parts.audio or None,
        },
        ensure_ascii=False,
        indent=1,
    )
