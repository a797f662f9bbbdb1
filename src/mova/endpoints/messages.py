"""What is said to a model: texts, images and audio, and how they look in a request."""

from __future__ import annotations

import base64
import hashlib
import io
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from mova.endpoints.settings import AudioForm

JsonObject = dict[str, object]

# What vision encoders make of an image (patches of 14 pixels, folded by two), and audio encoders of a second.
_PIXELS_PER_TOKEN: Final = 28 * 28
_TOKENS_PER_SECOND: Final = 13
_BYTES_PER_TOKEN: Final = 3
_JPEG_QUALITY: Final = 90


@dataclass(frozen=True)
class Text:
    """A text.

    Attributes:
        text: the words.
    """

    text: str

    @property
    def tokens(self) -> int:
        """About how many tokens it takes."""
        return len(self.text.encode()) // _BYTES_PER_TOKEN + 1

    def wire(self, audio_form: AudioForm) -> JsonObject:  # noqa: ARG002
        """Return its form in a request."""
        return {"type": "text", "text": self.text}


@dataclass(frozen=True)
class Image:
    """An image.

    Attributes:
        url: data URL of a JPEG file.
        tokens: about how many it takes.
    """

    url: str
    tokens: int

    @classmethod
    def of(cls, pixels: np.ndarray) -> Image:
        """Return an image as JPEG.

        Args:
            pixels: (H, W, 3) uint8.
        """
        from PIL import Image as Pillow

        file = io.BytesIO()
        Pillow.fromarray(pixels).save(file, "JPEG", quality=_JPEG_QUALITY)
        height, width = pixels.shape[:2]
        return cls(_data_url("image/jpeg", file.getvalue()), cls.tokens_of(height, width))

    @staticmethod
    def tokens_of(height: int, width: int) -> int:
        """Return about how many tokens an image of that size takes."""
        return max(4, height * width // _PIXELS_PER_TOKEN)

    def wire(self, audio_form: AudioForm) -> JsonObject:  # noqa: ARG002
        """Return its form in a request."""
        return {"type": "image_url", "image_url": {"url": self.url}}


@dataclass(frozen=True)
class Audio:
    """Audio of one channel.

    Attributes:
        wav: a WAV file of 16 bits.
        tokens: about how many it takes.
    """

    wav: bytes
    tokens: int

    @classmethod
    def of(cls, waveform: np.ndarray, sample_rate: int) -> Audio:
        """Return audio as a WAV file.

        Args:
            waveform: (S,) float32 in [-1, 1]; what is outside is clipped.
            sample_rate: in Hz.
        """
        file = io.BytesIO()
        with wave.open(file, "wb") as wav:
            wav.setnchannels(1)
            wav.setsampwidth(2)
            wav.setframerate(sample_rate)
            wav.writeframes(np.round(np.clip(waveform, -1.0, 1.0) * 32767).astype("<i2").tobytes())
        return cls(file.getvalue(), cls.tokens_of(len(waveform) / sample_rate))

    @staticmethod
    def tokens_of(duration_s: float) -> int:
        """Return about how many tokens audio of that length takes."""
        return int(duration_s * _TOKENS_PER_SECOND) + 1

    def wire(self, audio_form: AudioForm) -> JsonObject:
        """Return its form in a request."""
        if audio_form is AudioForm.AUDIO_URL:
            return {"type": "audio_url", "audio_url": {"url": _data_url("audio/wav", self.wav)}}
        data = base64.b64encode(self.wav).decode("ascii")
        return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}


Part = Text | Image | Audio


@dataclass(frozen=True)
class Message:
    """What one side says.

    Attributes:
        role: who says it.
        parts: in order.
    """

    role: Literal["system", "user", "assistant"]
    parts: tuple[Part, ...]

    def wire(self, audio_form: AudioForm) -> JsonObject:
        """Return its form in a request; a single text is sent as a plain string, which every endpoint takes."""
        match self.parts:
            case (Text(text),):
                return {"role": self.role, "content": text}
            case _:
                return {"role": self.role, "content": [part.wire(audio_form) for part in self.parts]}


def system(text: str) -> Message:
    """Return an instruction."""
    return Message("system", (Text(text),))


def user(*parts: Part | str) -> Message:
    """Return what is asked; plain strings are texts."""
    return Message("user", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def assistant(text: str) -> Message:
    """Return what the model has said."""
    return Message("assistant", (Text(text),))


def tokens_of(messages: Sequence[Message]) -> int:
    """Return about how many tokens messages take: an estimate, for plans and for what a budget holds back."""
    return sum(part.tokens for message in messages for part in message.parts) + 8 * len(messages)


def prompt_sha256(messages: Sequence[Message]) -> str:
    """Return the digest of the instruction: the system's texts, or all texts where there are none."""
    chosen = [message for message in messages if message.role == "system"] or list(messages)
    texts = [part.text for message in chosen for part in message.parts if isinstance(part, Text)]
    return hashlib.sha256("\x00".join(texts).encode()).hexdigest()


def _data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
