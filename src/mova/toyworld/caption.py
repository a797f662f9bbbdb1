"""The sentences that go with a scene: what is seen and what is heard, never when.

Wordings are chosen by the scene's seed, so that the same scene has the same caption everywhere. Beside its own caption
every scene has others that say the same, to learn from and to measure with.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Final

import numpy as np

from mova.errors import ConfigError
from mova.files.json_file import shorten
from mova.toyworld.scenes.scene import Scene

NUM_WORDINGS: Final = 3  # of each half, in every scene's own caption
OWN_WORDING: Final = 0
# Numbers of the wordings that a training may draw, and of those that are kept for measuring.
TRAINING_WORDINGS: Final = (1, 2, 3, 4, 5)
HELD_OUT_WORDINGS: Final = (6, 7)

# Second word of the seed that other wordings are drawn from; 0 to 4 are the scene's, its caption's and its skins'.
_WORDING_STREAM: Final = 5


def caption(scene: Scene, *, ranked: bool = True, wording: int = OWN_WORDING) -> str:
    """Return a caption of a scene.

    Args:
        scene: what happens.
        ranked: say the place of each thing in a row ("first the green, second the red bar") instead of only its
            neighbours ("the green and then red bars"). The cross-attention of the towers knows no word positions, so an
            embedding has to tell the place by itself, and such words make it easy. 25 to 65 words instead of 20 to 50.
        wording: 0 for the scene's own caption: what is seen, then "The audio ..."; 1 to 7 for the same facts in other
            words, some of which begin with what is heard. See `TRAINING_WORDINGS` and `HELD_OUT_WORDINGS`.

    Raises:
        ConfigError: the scene has no such wording.
    """
    if wording == OWN_WORDING:
        rng = np.random.default_rng([scene.seed, 1])
        video, audio = (int(choice) for choice in rng.integers(NUM_WORDINGS, size=2))
        seen, heard = scene.describe(video, audio, ranked=ranked)
        return f"{seen} {heard}"
    most = len(scene.paraphrases)
    if not 0 < wording <= most:
        raise ConfigError(
            f"wording must be 0 to {most} for a scene of the kind {scene.kind}, got {wording}; nearest is "
            f"{min(max(wording, OWN_WORDING), most)}"
        )
    return scene.paraphrases[wording - 1].format(**scene.facts(ranked=ranked))


def draw_wording(seed: int, share: float, wordings: Sequence[int] = TRAINING_WORDINGS) -> int:
    """Return the wording of a scene where some scenes have another one than their own, the same everywhere.

    Args:
        seed: of the scene.
        share: probability of another wording, in [0, 1].
        wordings: those others, all equally often.
    """
    rng = np.random.default_rng([seed, _WORDING_STREAM])
    at, other = float(rng.random()), wordings[int(rng.integers(len(wordings)))]
    return other if at < share else OWN_WORDING


def parse_wording(text: str) -> tuple[int, ...]:
    """Return the wordings that a name stands for: a number, "training" or "held-out".

    Raises:
        ConfigError: it names none.
    """
    named = {"training": TRAINING_WORDINGS, "held-out": HELD_OUT_WORDINGS}
    numbers = {str(number): (number,) for number in (OWN_WORDING, *TRAINING_WORDINGS, *HELD_OUT_WORDINGS)}
    known = {**numbers, **named}
    if text not in known:
        nearest = difflib.get_close_matches(text, known, n=1, cutoff=0.0)[0]
        raise ConfigError(
            f"wording must be 0 to {max(HELD_OUT_WORDINGS)}, training or held-out, got {shorten(text)}; nearest is "
            f"{nearest}"
        )
    return known[text]
