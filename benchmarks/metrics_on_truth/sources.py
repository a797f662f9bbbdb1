"""Clips of which everything is known, whose parts can be made anew: scenes of the toy world, and faces that speak."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import soxr

from mova.geometry import num_samples
from mova.toyworld import DEFAULT_KINDS, Scene, sample_scene, split_seed
from mova.toyworld.caption import caption
from mova.toyworld.draw import Viewport, vertical_gradient
from mova.toyworld.mouth import CLOSED, SHAPE, Face
from mova.toyworld.scenes.face import FACE_RADIUS, FACE_X, FACE_Y
from mova.toyworld.sound import mix
from mova.toyworld.vocabulary import BACKGROUND_RGB, COLOURS, VOICE_HZ, VOWELS
from mova.toyworld.voice import vowel_sound
from mova.types import Clip

from .spoiling import BANNER, UNSPOILT, spoil_sound, spoil_video, with_banner

FRAME_RATE, SAMPLE_RATE = 24, 48_000
LEAD_S = 0.5
"""Of stillness before anything happens, so that a sound may come earlier and is not lost."""
TOY_FRAMES = 73
OTHERS = 500_000
"""Added to the number of a clip: of another one of its kind."""
SENTENCES = (
    "The train to the coast leaves at nine.",
    "My sister painted the kitchen door yellow.",
    "Nobody had expected so much rain in July.",
    "Please put the bread back into the basket.",
    "We counted forty ships in the old harbour.",
    "He forgot his umbrella at the station again.",
    "The library closes early on Saturday evening.",
    "A small dog was waiting outside the shop.",
    "They are building a bridge over the river.",
    "Her letter arrived three weeks too late.",
    "The soup needs a little more salt and pepper.",
    "Our teacher told us about the moons of Saturn.",
)
VOICES = ("en-us+m3", "en-gb+f2", "en-gb-scotland+m7", "en-us+f4", "en-us+m1", "en-gb-x-rp+f3")
"""Of espeak-ng; a man and a woman in turn, so that the third next of a man is a woman."""
Speak = Callable[[str, str], np.ndarray]


@dataclass(frozen=True)
class ToyClip:
    """A scene of the toy world, after half a second of stillness.

    Attributes:
        index: of the clip; kinds come in turn.
        size: pixels of a side.
    """

    index: int
    size: int

    @property
    def kind(self) -> str:
        """Of its scene."""
        return DEFAULT_KINDS[self.index % len(DEFAULT_KINDS)]

    @property
    def id(self) -> str:
        """Its name."""
        return f"{self.kind}_{self.index:05d}"

    @property
    def scene(self) -> Scene:
        """What happens."""
        return sample_scene(split_seed("heldout", self.index), kind=self.kind)

    @property
    def prompt(self) -> str:
        """Its caption."""
        return caption(self.scene)

    def clip(self, name: str, level: float) -> Clip:
        """Return the clip with its audio spoilt, or as it is."""
        return Clip(self._frames(), self._sound(name, level)[None], FRAME_RATE, SAMPLE_RATE)

    def _frames(self) -> np.ndarray:
        times_s = np.maximum(np.arange(TOY_FRAMES) / FRAME_RATE - LEAD_S, 0.0)
        return self.scene.draw(Viewport.of(self.size), times_s)

    def _sound(self, name: str, level: float) -> np.ndarray:
        if name == "dropped":
            return sound_of(self.scene, dropped=level / 100)
        if name == "pitch":
            return sound_of(self.scene, semitones=level)
        if name == "drift":
            return sound_of(self.scene, late_s=level / 1000)
        if name in ("same kind", "other kind"):
            further = 0 if name == "same kind" else len(DEFAULT_KINDS) // 2
            kind = DEFAULT_KINDS[(self.index + further) % len(DEFAULT_KINDS)]
            return sound_of(sample_scene(split_seed("heldout", OTHERS + self.index), kind=kind))
        sound = sound_of(self.scene)
        return sound if name == UNSPOILT else spoil_sound(sound, SAMPLE_RATE, name, level, self.index)


class BannerClip(ToyClip):
    """A scene of the toy world under a banner, whose video is spoilt."""

    @property
    def prompt(self) -> str:
        """Its caption, with the banner."""
        return f'{caption(self.scene)} A banner reads "{BANNER}".'

    def clip(self, name: str, level: float) -> Clip:
        """Return the clip with its video spoilt, or as it is."""
        frames = with_banner(self._frames(), 1.0)
        if name != UNSPOILT:
            frames = spoil_video(frames, name, level)
        return Clip(frames, self._sound(UNSPOILT, 0.0)[None], FRAME_RATE, SAMPLE_RATE)


def sound_of(scene: Scene, *, dropped: float = 0.0, semitones: float = 0.0, late_s: float = 0.0) -> np.ndarray:
    """Return the sound (S,) of a toy clip, which begins after the lead.

    Args:
        scene: what sounds.
        dropped: share of its sounds that are left out; those of a smaller share are among those of a larger one.
        semitones: by which all sounds are higher.
        late_s: by which a sound at the end of the clip is late, one in the middle by half of it.
    """
    slower = 1 + late_s / (TOY_FRAMES / FRAME_RATE - LEAD_S)
    sounds = scene.sounds(TOY_FRAMES / FRAME_RATE - LEAD_S)
    order = np.random.default_rng([scene.seed, 11]).permutation(len(sounds))
    gone = set(order[: round(dropped * len(sounds))].tolist())
    kept = [
        replace(
            event,
            time_s=event.time_s * slower + LEAD_S,
            end_s=None if event.end_s is None else event.end_s * slower + LEAD_S,
            pitch_hz=event.pitch_hz * 2 ** (semitones / 12),
        )
        for index, event in enumerate(sounds)
        if index not in gone
    ]
    return mix(kept, num_samples(TOY_FRAMES, FRAME_RATE, SAMPLE_RATE), SAMPLE_RATE)[0]


@dataclass(frozen=True)
class SpeechClip:
    """A drawn face that says two sentences; its mouth is as wide open as the speech is loud.

    Attributes:
        index: of the clip.
        size: pixels of a side.
        speak: gives the sound of a text in a voice.
    """

    index: int
    size: int
    speak: Speak

    kind = "speech"

    @property
    def id(self) -> str:
        """Its name."""
        return f"speech_{self.index:05d}"

    @property
    def prompt(self) -> str:
        """What is said, and by whom."""
        return f'A face in front of a wall speaks to the camera and says: "{" ".join(self._texts(0))}"'

    def clip(self, name: str, level: float) -> Clip:
        """Return the clip with its audio spoilt, or as it is."""
        parts = self._parts(self._texts(0), (0, 0))
        length = LEAD_S + sum(map(len, parts)) / SAMPLE_RATE + LEAD_S
        count = int(np.ceil(length * FRAME_RATE))
        samples = num_samples(count, FRAME_RATE, SAMPLE_RATE)
        own = _placed(parts, samples)
        return Clip(self._frames(own, count), self._spoilt(own, name, level)[None], FRAME_RATE, SAMPLE_RATE)

    def _spoilt(self, own: np.ndarray, name: str, level: float) -> np.ndarray:
        if name == UNSPOILT:
            return own
        if name == "voice":
            return _placed(self._parts(self._texts(0), (3, 3)), len(own))
        if name == "second voice":
            return _placed(self._parts(self._texts(0), (0, 3)), len(own))
        if name == "sentence":
            return _placed(self._parts(self._texts(5), (0, 0)), len(own))
        if name == "cut":
            spoken = np.flatnonzero(own)
            cut = own.copy()
            cut[spoken[0] + round(level / 100 * (spoken[-1] - spoken[0])) :] = 0
            return cut
        if name == "no speech":
            kind = ("mallet", "keys", "ball")[self.index % 3]
            return _placed([sound_of(sample_scene(split_seed("heldout", OTHERS + self.index), kind=kind))], len(own), 0)
        return spoil_sound(own, SAMPLE_RATE, name, level, self.index)

    def _texts(self, further: int) -> tuple[str, str]:
        # Each round begins one sentence and one voice later, so that no clip comes twice.
        first = 2 * (self.index + further) + self.index // len(VOICES)
        return SENTENCES[first % len(SENTENCES)], SENTENCES[(first + 1) % len(SENTENCES)]

    def _parts(self, texts: tuple[str, str], further: tuple[int, int]) -> list[np.ndarray]:
        first = self.index + self.index // len(VOICES)
        voices = (VOICES[(first + step) % len(VOICES)] for step in further)
        return [self.speak(text, voice) for text, voice in zip(texts, voices, strict=True)]

    def _frames(self, sound: np.ndarray, count: int) -> np.ndarray:
        viewport = Viewport.of(self.size)
        face = Face(FACE_X, FACE_Y, FACE_RADIUS, COLOURS[self.index % len(COLOURS)], "medium")
        wall = list(BACKGROUND_RGB.values())[self.index % len(BACKGROUND_RGB)]
        image = (vertical_gradient(viewport, wall, lighter=8, darker=8) + 0.5).astype(np.uint8)[None]
        face.draw(image, viewport)
        frames = np.repeat(image, count, axis=0)
        opened = _loudness(sound, count)
        width, height = (low + opened * (high - low) for low, high in zip(CLOSED, SHAPE["a"], strict=True))
        face.draw_mouth(frames, viewport, (width, height))
        return frames


def _placed(parts: list[np.ndarray], samples: int, begin: int = round(LEAD_S * SAMPLE_RATE)) -> np.ndarray:
    placed = np.zeros(samples, np.float32)
    sound = np.concatenate(parts)[: samples - begin]
    placed[begin : begin + len(sound)] = sound
    return placed


def _loudness(sound: np.ndarray, count: int) -> np.ndarray:
    """Return how loud it is around the instant of each frame (F,), 0 to 1, in windows of 40 ms."""
    reach = round(0.02 * SAMPLE_RATE)
    sums = np.concatenate([[0.0], np.cumsum(np.square(np.pad(sound, reach), dtype=np.float64))])
    at = np.minimum(np.round(np.arange(count) * SAMPLE_RATE / FRAME_RATE).astype(int), len(sound) - 1)
    level = np.sqrt(np.maximum(sums[at + 2 * reach] - sums[at], 0.0) / (2 * reach))
    return np.clip(level / max(float(np.quantile(level, 0.95)), 1e-9), 0.0, 1.0)


@lru_cache(maxsize=64)
def espeak(text: str, voice: str) -> np.ndarray:
    """Return a text (S,) at 48 kHz, spoken by espeak-ng at 165 words a minute, its loudest sample 0.5.

    Raises:
        FileNotFoundError: espeak-ng is not installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        subprocess.run(["espeak-ng", "-v", voice, "-s", "165", "-w", str(path), text], check=True, capture_output=True)
        sound, rate = soundfile.read(path, dtype="float32")
    sound = soxr.resample(sound, rate, SAMPLE_RATE)
    spoken = np.flatnonzero(np.abs(sound) > 1e-3)
    sound = sound[spoken[0] : spoken[-1] + 1]
    # A pause as between two sentences.
    sound = np.concatenate([sound, np.zeros(SAMPLE_RATE // 4, np.float32)])
    return (sound * (0.5 / np.abs(sound).max())).astype(np.float32)


@lru_cache(maxsize=64)
def vowels(text: str, voice: str) -> np.ndarray:
    """Return the vowels of a text (S,) at 48 kHz in a voice of the toy world, with pauses between words."""
    pitch_hz = VOICE_HZ["low" if "+m" in voice else "high"]
    length_s, pause_s = 0.16, 0.05
    samples = round((length_s + pause_s) * SAMPLE_RATE)
    since_s = np.arange(samples) / SAMPLE_RATE
    parts = []
    for letter in text.lower():
        if letter in VOWELS:
            parts.append(0.5 * vowel_sound(letter, pitch_hz, since_s, length_s))
        elif letter in " .":
            parts.append(np.zeros(round(pause_s * SAMPLE_RATE)))
    return np.concatenate(parts).astype(np.float32)
