"""Free wording for models that know the toy world: a caption that they learned, and the first frame beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mova.generate.enhance.enhanced import Enhanced
from mova.settings.sampling import GivenSettings
from mova.settings.scope import Scope, read_scope
from mova.toyworld.asked.ask import ask_scene
from mova.toyworld.render import first_frame, render
from mova.toyworld.scenes.registry import DEFAULT_KINDS
from mova.weights.locate import local_model

PROVIDER: Final = "toy world"
DEFAULT_SIZE: Final = (128, 128)
# Words of its captions that a model knows when it knows the toy world's scenes.
_TOY_WORDS: Final = frozenset({"ball", "mallet", "keys", "face", "audio"})


def toy_scope(model: str | Path) -> Scope | None:
    """Return what a model knows, where it learned captions of the toy world; None for every other model.

    Args:
        model: a shipped name or a directory. Nothing is downloaded: what is not here is taken for a model of real
            clips.

    Raises:
        CheckpointError: the file that says what the model knows is damaged.
    """
    folder = local_model(model)
    scope = None if folder is None else read_scope(folder)
    return scope if scope is not None and scope.words >= _TOY_WORDS else None


def enhance_for_toy_world(
    text: str, scope: Scope, *, size: tuple[int, int] = DEFAULT_SIZE, has_image: bool = False
) -> Enhanced:
    """Return the caption that a free wording asks for, and the first frame of its scene.

    A text that is a caption already, with no word that the model does not know, stays as it is.

    Args:
        text: in English or Chinese.
        scope: what the model knows.
        size: (height, width) of the first frame in pixels.
        has_image: whether the user gives a first frame: then none is made.
    """
    asked = ask_scene(text, kinds=DEFAULT_KINDS)
    if asked.scene is None:
        return Enhanced(text, text, problems=asked.problems, is_fallback=True, provider=PROVIDER)
    is_caption = "the audio " in text.lower() and not scope.strange_words(text)
    changes = asked.changes
    if asked.guidance_scale is not None:
        changes += (f"guidance scale {asked.guidance_scale:g}, so that the first frame keeps its colours",)
    return Enhanced(
        text if is_caption else asked.caption,
        text,
        changes=changes,
        settings=GivenSettings(guidance_scale=asked.guidance_scale),
        problems=() if is_caption else asked.problems,
        first_frame=None if has_image else first_frame(render(asked.scene, size=size, num_frames=1).clip),
        provider=PROVIDER,
    )
