import numpy as np
import pytest

from mova.toyworld.reading.background import MAX_BACKGROUND_ERROR, background_error, wall_colour
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


@pytest.mark.parametrize("kind", SCENES)
def test_the_wall_is_named(rendered, kind):
    for index in range(4):
        clip = rendered(index, kind)
        assert wall_colour(clip.clip.frames) == clip.scene.background


def test_a_wall_that_changes_or_that_the_world_lacks_has_no_name(rendered):
    frames = rendered(0, "keys").clip.frames
    assert wall_colour(np.full_like(frames, 60)) is None
    changing = frames.copy()
    changing[30:] = 60
    assert wall_colour(changing) is None
