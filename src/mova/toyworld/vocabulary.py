"""What the toy world is made of: colours, pitches, materials, backgrounds, and the words for them."""

from __future__ import annotations

from typing import Final

COLOURS: Final = ("red", "yellow", "green", "blue", "purple")
MATERIALS: Final = ("wood", "metal", "drum")
BAR: Final = "bar"
TIMBRES: Final = (*MATERIALS, BAR)
KEY: Final = "key"
NOTES: Final = ("do", "re", "mi", "fa", "sol", "la", "ti")
VOWELS: Final = ("a", "e", "i", "o", "u")
SIDES: Final = ("left", "right")

Rgb = tuple[int, int, int]

COLOUR_RGB: Final[dict[str, Rgb]] = {
    "red": (222, 44, 38),
    "yellow": (246, 196, 16),
    "green": (30, 158, 70),
    "blue": (24, 104, 226),
    "purple": (156, 44, 184),
}
BACKGROUND_RGB: Final[dict[str, Rgb]] = {
    "light grey": (222, 222, 224),
    "pale blue": (186, 210, 238),
    "pale green": (194, 226, 200),
    "pale pink": (242, 206, 214),
}
FLOOR_RGB: Final[dict[str, Rgb]] = {"wood": (158, 102, 58), "metal": (112, 126, 150), "drum": (226, 200, 152)}
FLOOR_EDGE_RGB: Final[dict[str, Rgb]] = {"wood": (112, 68, 36), "metal": (70, 82, 104), "drum": (140, 60, 44)}

# C, D, E, G, A: the major pentatonic scale in equal temperament, lowest note first, one note for each colour.
PENTATONIC: Final[dict[str, float]] = {
    colour: 2.0 ** (semitones / 12.0) for colour, semitones in zip(COLOURS, (0, 2, 4, 7, 9), strict=True)
}
# The note of the first colour in Hz: C6, C5, C3 and again C5. The ranges of the three materials do not overlap.
BASE_PITCH_HZ: Final[dict[str, float]] = {"wood": 523.251, "metal": 1046.502, "drum": 130.813, BAR: 523.251}
# The major scale in equal temperament from C5 on, one note for each piano key.
KEY_PITCH_HZ: Final[dict[str, float]] = {
    note: 523.251 * 2.0 ** (semitones / 12.0) for note, semitones in zip(NOTES, (0, 2, 4, 5, 7, 9, 11), strict=True)
}
VOICE_HZ: Final[dict[str, float]] = {"low": 120.0, "high": 210.0}

PITCH_WORD: Final[dict[str, str]] = {
    "red": "very low",
    "yellow": "low",
    "green": "middle",
    "blue": "high",
    "purple": "very high",
}

VOWEL_WORD: Final[dict[str, str]] = {"a": "ah", "e": "eh", "i": "ee", "o": "oh", "u": "oo"}

BALL_RADIUS: Final[dict[str, float]] = {"small": 0.05, "medium": 0.065, "large": 0.08}
HEIGHT_WORDS: Final = ("low", "medium", "high")


def notes_of(timbre: str) -> tuple[str, ...]:
    """Return the names of the notes that a timbre has, lowest first: those of the scale for keys, else the colours."""
    return NOTES if timbre == KEY else COLOURS


def pitch_hz(timbre: str, note: str) -> float:
    """Return the fundamental that a note (a colour, for keys a name) has on a timbre, in Hz."""
    return KEY_PITCH_HZ[note] if timbre == KEY else BASE_PITCH_HZ[timbre] * PENTATONIC[note]
