"""When somebody speaks: Silero's voice activity detector, fed block by block, so that its memory stays flat.

The network is run as it is (ONNX, one call per block); the package's own code would bring torch into the process.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from mova.errors import MissingExtraError
from mova.scorers.onnx import open_onnx

if TYPE_CHECKING:
    from mova.media.transcode.listen import Heard

SAMPLE_RATE: Final = 16_000
"""Of the audio that is listened to, in Hz."""
_STEP, _CONTEXT, _STEPS_AT_ONCE = 512, 64, 128
_MODEL: Final = "silero_vad_16k_sequence.onnx"
# Speech ends below a lower probability than it begins at.
_HYSTERESIS = 0.15
_PAD_S = 0.03

SpanS = tuple[float, float]
"""(begin, end) in seconds on the file's clock."""


@dataclass(frozen=True)
class SpeechRules:
    """What counts as speech.

    Attributes:
        threshold: probability from which on speech begins.
        min_speech_s: shorter segments are left out.
        min_pause_s: shorter pauses belong to the speech.
    """

    threshold: float = 0.5
    min_speech_s: float = 0.25
    min_pause_s: float = 0.1


def find_speech(heard: Iterable[Heard], rules: SpeechRules) -> list[SpanS]:
    """Return the segments of speech in a file's audio, in order and apart.

    Args:
        heard: audio at `SAMPLE_RATE`.
        rules: what counts.

    Raises:
        MissingExtraError: the detector is not installed.
    """
    detector = _Detector()
    found: list[SpanS] = []
    segments = _Segments(rules, 0.0)
    for piece in heard:
        if piece.is_new:
            found += segments.finish(detector.rest())
            detector.begin()
            segments = _Segments(rules, piece.time_s)
        segments.add(detector.chances(piece.waveform))
    found += segments.finish(detector.rest())
    return _joined(found)


class _Detector:
    """The network with its state."""

    def __init__(self) -> None:
        package = importlib.util.find_spec("silero_vad")
        model = None if package is None or package.origin is None else Path(package.origin).parent / "data" / _MODEL
        if model is None or not model.is_file():
            raise MissingExtraError("silero-vad", "curate")
        try:
            self._session = open_onnx(model)
        except ImportError:
            raise MissingExtraError("onnxruntime", "curate") from None
        self.begin()

    def begin(self) -> None:
        self._hidden = self._cell = np.zeros((1, 1, 128), np.float32)
        self._context = np.zeros(_CONTEXT, np.float32)
        self._waiting: list[np.ndarray] = []
        self._num_waiting = 0

    def chances(self, waveform: np.ndarray) -> np.ndarray:
        self._waiting.append(waveform)
        self._num_waiting += waveform.size
        if self._num_waiting < _STEP * _STEPS_AT_ONCE:
            return np.zeros(0, np.float32)
        return self._run(is_last=False)

    def rest(self) -> np.ndarray:
        return self._run(is_last=True)

    def _run(self, *, is_last: bool) -> np.ndarray:
        samples = np.concatenate([np.zeros(0, np.float32), *self._waiting])
        if is_last and samples.size % _STEP:
            samples = np.pad(samples, (0, -samples.size % _STEP))
        usable = samples.size // _STEP * _STEP
        self._waiting, self._num_waiting = [samples[usable:]], samples.size - usable
        found = [np.zeros(0, np.float32)]
        steps = samples[:usable].reshape(-1, _STEP)
        for first in range(0, len(steps), _STEPS_AT_ONCE):
            block = steps[first : first + _STEPS_AT_ONCE]
            contexts = np.concatenate((self._context[None], block[:-1, -_CONTEXT:]))
            self._context = block[-1, -_CONTEXT:]
            values, self._hidden, self._cell = self._session.run(
                ["speech_probs", "hn", "cn"],
                {"input": np.concatenate((contexts, block), axis=1), "h": self._hidden, "c": self._cell},
            )
            found.append(np.asarray(values, np.float32).reshape(-1))
        return np.concatenate(found)


class _Segments:
    """Probabilities, one for each step, to segments."""

    def __init__(self, rules: SpeechRules, begin_s: float) -> None:
        self._rules, self._begin_s = rules, begin_s
        self._step = 0
        self._speech_from: int | None = None
        self._quiet_from: int | None = None
        self._found: list[SpanS] = []

    def add(self, chances: np.ndarray) -> None:
        rules = self._rules
        for chance in chances.tolist():
            if chance >= rules.threshold:
                self._quiet_from = None
                if self._speech_from is None:
                    self._speech_from = self._step
            elif self._speech_from is not None and chance < max(0.01, rules.threshold - _HYSTERESIS):
                if self._quiet_from is None:
                    self._quiet_from = self._step
                if (self._step - self._quiet_from) * _STEP >= rules.min_pause_s * SAMPLE_RATE:
                    self._end(self._quiet_from)
            self._step += 1

    def finish(self, chances: np.ndarray) -> list[SpanS]:
        self.add(chances)
        self._end(self._step)
        return self._found

    def _end(self, step: int) -> None:
        if self._speech_from is not None:
            begin_s, end_s = (at * _STEP / SAMPLE_RATE for at in (self._speech_from, step))
            if end_s - begin_s > self._rules.min_speech_s:
                self._found.append((self._begin_s + begin_s - _PAD_S, self._begin_s + end_s + _PAD_S))
        self._speech_from = self._quiet_from = None


def _joined(spans: list[SpanS]) -> list[SpanS]:
    """Return spans in order and apart."""
    joined: list[SpanS] = []
    for begin, end in sorted(spans):
        if joined and begin <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((begin, end))
    return joined
