"""The sentence that goes with a scene: first what is seen, then what is heard, never when.

Wordings are chosen by the scene's seed, so that the same scene has the same caption everywhere.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mova.toyworld.scenes.scene import Scene

NUM_WORDINGS: Final = 3  # of each half, in every scene


def caption(scene: Scene, *, ranked: bool = True) -> str:
    """Return the caption of a scene, video first, then "The audio ...".

    Args:
        scene: what happens.
        ranked: say the place of each thing in a row ("first the green, second the red bar") instead of only its
            neighbours ("the green and then red bars"). The cross-attention of the towers knows no word positions, so an
            embedding has to tell the place by itself, and such words make it easy. 30 to 65 words instead of 30 to 50.
    """
    rng = np.random.default_rng([scene.seed, 1])
    video, audio = (int(choice) for choice in rng.integers(NUM_WORDINGS, size=2))
    seen, heard = scene.describe(video, audio, ranked=ranked)
    return f"{seen} {heard}"
