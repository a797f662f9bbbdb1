"""From a free wording to a scene: which kind is meant, what it shows, and what was changed or left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mova.toyworld.asked.parts import seed_of
from mova.toyworld.asked.said import Said
from mova.toyworld.caption import caption
from mova.toyworld.held_out import has_held_out_combination
from mova.toyworld.scenes.registry import DEFAULT_KINDS, SCENES
from mova.toyworld.scenes.scene import Scene

# A verb that several scenes share means none of them.
_LEAST_WEIGHT: Final = 2


@dataclass(frozen=True)
class Asked:
    """What a free wording asks for.

    Attributes:
        scene: None where no kind of scene is meant.
        caption: of the scene; "" without one.
        changes: what was taken in place of what the wording says.
        problems: what of it is not shown.
        guidance_scale: that suits the scene better than the model's own; None for most.
    """

    scene: Scene | None
    caption: str
    changes: tuple[str, ...]
    problems: tuple[str, ...]
    guidance_scale: float | None = None


def ask_scene(text: str, *, kinds: Sequence[str] = DEFAULT_KINDS) -> Asked:
    """Return the scene that a text asks for, with everything that it leaves open chosen, the same for the same text.

    Args:
        text: in English or Chinese, or both.
        kinds: of scene that may be chosen.
    """
    said = Said(text)
    weights = {kind: SCENES[kind].likeness(said) for kind in SCENES}
    kind = max(weights, key=lambda one: weights[one])
    is_meant = weights[kind] >= _LEAST_WEIGHT
    if not is_meant or kind not in kinds:
        known = "; ".join(f"{one}: {SCENES[one].summary}" for one in kinds)
        strange = f"a scene of the kind {kind} is not among those" if is_meant else "no scene is meant"
        return Asked(None, "", (), (f"{strange} that can be shown ({known})",))
    scene = SCENES[kind].from_said(said, seed_of(text))
    said.name_left_over()
    scale = None
    if has_held_out_combination(scene):
        scale = scene.held_out_guidance_scale
        said.problems.append(
            "a combination that was kept out of the training of mova-tiny: a note or a sign may be another"
        )
    changes, problems = (tuple(dict.fromkeys(lines)) for lines in (said.changes, said.problems))
    return Asked(scene, caption(scene), changes, problems, scale)
