import numpy as np
import pytest

from mova.toyworld.reading.background import MAX_BACKGROUND_ERROR, background_error
from mova.toyworld.scenes.registry import SCENES


def _error(clip, frames):
    scene, first = clip.scene, clip.clip.frames[0]
    return background_error(frames, first, scene.changing, scene.discs(frames), scene.discs(first[None]))


@pytest.mark.parametrize("kind", SCENES)
def test_what_moves_is_not_background(rendered, kind):
    for index in range(3):
        clip = rendered(index, kind)
        assert _error(clip, clip.clip.frames) < 0.5


@pytest.mark.parametrize("kind", SCENES)
def test_a_wall_that_darkens_is_an_error(rendered, kind):
    clip = rendered(0, kind)
    darker = (clip.clip.frames * np.linspace(1, 0.8, 49)[:, None, None, None]).astype(np.uint8)
    assert _error(clip, darker) > MAX_BACKGROUND_ERROR
