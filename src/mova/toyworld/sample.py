"""Draw scenes from seeds. Seeds of training, validation and held-out clips come from ranges that never meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from mova.errors import ConfigError
from mova.toyworld.held_out import has_held_out_combination
from mova.toyworld.scenes.registry import BASIC_KINDS, SCENES, check_kinds
from mova.toyworld.scenes.scene import Scene

SPLITS: Final = ("train", "validation", "heldout")
COMBINATIONS: Final = ("all", "training", "held_out")
SEEDS_PER_SPLIT: Final = 1_000_000_000

# Second words of derived seeds; 1 is the caption's wording.
_KIND_STREAM: Final = 2
_AGAIN_STREAM: Final = 3


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


def sample_scene(
    seed: int, *, kind: str | None = None, kinds: Sequence[str] = BASIC_KINDS, combinations: str = "all"
) -> Scene:
    """Return the scene of a seed, the same on every machine.

    Nothing begins in the last 0.17 s of the reference length (49 frames at 24 fps), so that every event of a clip of
    that length can be recovered from it. A seed and a kind always mean the same scene, however the kind was chosen.

    Args:
        seed: 0 or more.
        kind: a key of `SCENES`; by default drawn from the seed.
        kinds: to draw the kind from, all equally often; by default ball and mallet, as ever for a seed alone.
        combinations: "all"; "training" draws scenes with a held-out combination again; "held_out" those without.

    Raises:
        ConfigError: a negative seed, an unknown kind, no kind, or an unknown choice of combinations.
    """
    if seed < 0:
        raise ConfigError(f"seed must be 0 or more, got {seed}; nearest is 0")
    check_kinds(kinds)
    if kind is not None:
        check_kinds((kind,))
    if combinations not in COMBINATIONS:
        raise ConfigError(f"combinations must be one of {', '.join(COMBINATIONS)}, got {combinations!r}")
    rng = np.random.default_rng(seed)
    # Drawn for every scene, whatever the kinds, so that what follows does not depend on how the kind was chosen.
    drawn = BASIC_KINDS[int(rng.integers(len(BASIC_KINDS)))]
    if tuple(kinds) != BASIC_KINDS:
        drawn = kinds[int(np.random.default_rng([seed, _KIND_STREAM]).integers(len(kinds)))]
    draw = SCENES[kind or drawn].sample
    scene = draw(seed, rng)
    attempt = 0
    while combinations != "all" and has_held_out_combination(scene) != (combinations == "held_out"):
        scene = draw(seed, np.random.default_rng([seed, _AGAIN_STREAM, attempt]))
        attempt += 1
    return scene
