"""Transcribers: sound in, words out, or why there are none. Where nobody speaks, nobody is asked."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from mova.scorers.clip_media import ClipMedia
from mova.scorers.sound_events import SAMPLE_RATE, heard_spans
from mova.scorers.words.choice import TranscriberChoice
from mova.scorers.words.transcripts import Transcript, normalise_tags

if TYPE_CHECKING:
    from mova.endpoints.client import Client
    from mova.endpoints.outcomes import Reply

MOST_LENGTH: Final = 20_000
"""Characters of a transcript: nobody says more in a clip, and what is longer was made up."""


class Transcriber(Protocol):
    """Writes down what is said."""

    def transcribe(self, sound: np.ndarray) -> Transcript:
        """Return what is said in a sound (S,) float32 in [-1, 1] at 16 kHz; a fault is a result."""


def transcript_of(clip: ClipMedia, choice: TranscriberChoice) -> Transcript:
    """Return what is said in a clip with audio, found once for all that ask; "" where nobody speaks or sings.

    Raises:
        ReadError: the audio cannot be read.
        ImportError: a package is not installed.
    """
    return clip.once(f"transcript {choice.identity}", lambda: _transcript(clip, choice))


def open_transcriber(choice: TranscriberChoice) -> Transcriber:
    """Return the transcriber, the same one in all of a process.

    Raises:
        ImportError: a package is not installed.
    """
    return _opened(choice)


class EndpointTranscriber:
    """A model behind an endpoint.

    Args:
        choice: of an endpoint.

    Raises:
        ConfigError: (by calls) the environment variable of the key is not set.
    """

    def __init__(self, choice: TranscriberChoice) -> None:
        from mova.endpoints.budget import FileBudget, MemoryBudget
        from mova.endpoints.settings import EndpointSection

        self._section = EndpointSection(
            base_url=choice.base_url,
            model=choice.model,
            api_key_env=choice.key_variable,
            timeout_s=choice.timeout_s,
            deadline_s=choice.deadline_s,
            attempts=choice.attempts,
        )
        calls = choice.most_calls
        self._budget = MemoryBudget(calls) if choice.budget is None else FileBudget(choice.budget, calls)

    def transcribe(self, sound: np.ndarray) -> Transcript:
        """As in `Transcriber`."""
        from mova.endpoints.client import Client, Shared

        # A client belongs to one event loop; the budget is that of all calls.
        reply = asyncio.run(self._ask(Client(self._section, Shared(budget=self._budget)), sound))
        return _read(reply)

    async def _ask(self, client: Client, sound: np.ndarray) -> Reply:
        from mova.endpoints.messages import Audio

        async with client:
            return await client.transcribe(Audio.of(sound, SAMPLE_RATE), "transcript")


def _transcript(clip: ClipMedia, choice: TranscriberChoice) -> Transcript:
    spans = heard_spans(clip)
    if not spans["speech"] and not spans["singing"]:
        return Transcript("")
    found = open_transcriber(choice).transcribe(clip.waveform(SAMPLE_RATE))
    if len(found.text) > MOST_LENGTH:
        return Transcript("", f"the transcript has {len(found.text)} characters, {MOST_LENGTH} at most can be said")
    return Transcript(normalise_tags(found.text), found.fault)


def _read(reply: Reply) -> Transcript:
    from mova.endpoints.outcomes import Outcome
    from mova.endpoints.wire import NOTHING_SAID

    if reply.outcome is Outcome.OK:
        return Transcript(reply.text)
    if reply.outcome is Outcome.EMPTY and reply.detail == NOTHING_SAID:
        return Transcript("")
    return Transcript("", f"{reply.outcome}: {reply.detail}" if reply.detail else str(reply.outcome))


@lru_cache(maxsize=4)
def _opened(choice: TranscriberChoice) -> Transcriber:
    if choice.folder is None:
        return EndpointTranscriber(choice)
    from mova.scorers.words.whisper import WhisperTranscriber

    return WhisperTranscriber(choice.folder)
