import numpy as np
import pytest

from mova.toyworld.reading.background import MAX_BACKGROUND_ERROR, background_error
from mova.toyworld.reading.detect_video import detect_video
from mova.toyworld.reading.measures import start_of
from mova.toyworld.vocabulary import ALL_KINDS


def _error(clip, frames):
    tracks = detect_video(frames, 24.0, clip.scene.kind).tracks
    first = clip.clip.frames[0]
    return background_error(frames, first, clip.scene.kind, tracks, start_of(first, clip.scene.kind))


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_what_moves_is_not_background(rendered, kind):
    for index in range(3):
        clip = rendered(index, kind)
        assert _error(clip, clip.clip.frames) < 0.5


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_a_wall_that_darkens_is_an_error(rendered, kind):
    clip = rendered(0, kind)
    darker = (clip.clip.frames * np.linspace(1, 0.8, 49)[:, None, None, None]).astype(np.uint8)
    assert _error(clip, darker) > MAX_BACKGROUND_ERROR
