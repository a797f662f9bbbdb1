"""Combinations that can be kept out of training: things a model has seen apart, but never together.

Each kind of scene names its own. Every colour, material, size, note, vowel, voice and side also occurs in combinations
that are not held out.
"""

from __future__ import annotations

from mova.toyworld.scenes.scene import Scene


def has_held_out_combination(scene: Scene) -> bool:
    """Return whether a scene shows anything that training can be kept from."""
    return any(found in scene.held_out for found in scene.combinations())
