"""Draw scenes from seeds. Seeds of training, validation and held-out clips come from ranges that never meet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from mova.errors import ConfigError
from mova.toyworld.ball import draw_ball_scene
from mova.toyworld.mallet import draw_mallet_scene
from mova.toyworld.scene import Scene
from mova.toyworld.vocabulary import KINDS

SPLITS: Final = ("train", "validation", "heldout")
SEEDS_PER_SPLIT: Final = 1_000_000_000

_DRAW: Final[dict[str, Callable[[int, np.random.Generator], Scene]]] = {
    "ball": draw_ball_scene,
    "mallet": draw_mallet_scene,
}


def split_seed(split: str, index: int) -> int:
    """Return the seed of clip `index` of a split; two splits share no seed.

    Args:
        split: "train", "validation" or "heldout".
        index: 0 to 999,999,999.

    Raises:
        ConfigError: an unknown split or an index out of range.
    """
    if split not in SPLITS:
        raise ConfigError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    if not 0 <= index < SEEDS_PER_SPLIT:
        nearest = min(max(index, 0), SEEDS_PER_SPLIT - 1)
        raise ConfigError(f"index must be 0 to {SEEDS_PER_SPLIT - 1}, got {index}; nearest is {nearest}")
    return SPLITS.index(split) * SEEDS_PER_SPLIT + index


def sample_scene(seed: int, *, kind: str | None = None) -> Scene:
    """Return the scene of a seed, the same on every machine.

    Nothing happens in the last 0.17 s of the reference length (49 frames at 24 fps), so that every event of a clip of
    that length can be recovered from it.

    Args:
        seed: 0 or more.
        kind: "ball" or "mallet"; by default drawn from the seed, both equally often.

    Raises:
        ConfigError: a negative seed or an unknown kind.
    """
    if seed < 0:
        raise ConfigError(f"seed must be 0 or more, got {seed}; nearest is 0")
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"kind of scene must be one of {', '.join(KINDS)}, got {kind!r}")
    rng = np.random.default_rng(seed)
    drawn = KINDS[int(rng.integers(len(KINDS)))]
    return _DRAW[kind or drawn](seed, rng)
