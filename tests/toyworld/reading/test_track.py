import numpy as np
import pytest

from mova.toyworld.reading.track import track_disc
from mova.toyworld.scenes.ball import BALL_DISC
from mova.toyworld.scenes.mallet import HEAD_DISC, HEAD_RADIUS


@pytest.mark.parametrize("size", [64, 128])
def test_ball_is_followed_to_a_fifth_of_a_pixel(rendered, size):
    for index in range(6):
        clip = rendered(index, "ball", size)
        track = track_disc(clip.clip.frames, BALL_DISC)
        x, y = clip.scene.positions(np.arange(49) / 24)
        assert track.visible.all()
        assert np.abs(track.x - x).max() * size < 0.2
        assert np.abs(track.y - y).max() * size < 0.2
        assert track.radius == pytest.approx(clip.scene.radius, rel=0.06)


@pytest.mark.parametrize(("index", "side"), [(0, "left"), (1, "right")])
def test_each_of_two_balls_is_followed_in_its_half(rendered, index, side):
    clip = rendered(3, "balls", 128)
    track = track_disc(clip.clip.frames, BALL_DISC, side)
    ball, wait_s = clip.scene.balls[index], clip.scene.waits_s[index]
    x, y = ball.positions(np.maximum(np.arange(49) / 24 - wait_s, 0))
    assert track.visible.all()
    assert np.abs(track.x - x).max() * 128 < 0.2
    assert np.abs(track.y - y).max() * 128 < 0.2


def test_ball_is_followed_through_wear(rendered, worn):
    for index in range(6):
        clip = rendered(index, "ball")
        track = track_disc(worn(clip.clip.frames, index), BALL_DISC)
        x, y = clip.scene.positions(np.arange(49) / 24)
        assert np.abs(track.x - x).max() < 0.02
        # The drag in time pulls a fast ball towards where it was.
        assert np.quantile(np.abs(track.y - y), 0.9) < 0.03


def test_head_of_the_mallet_is_followed(rendered):
    clip = rendered(0, "mallet", 128)
    track = track_disc(clip.clip.frames, HEAD_DISC)
    x, y = clip.scene.positions(np.arange(49) / 24)
    # The stick beside the head shifts the centre, always in the same way.
    assert np.abs(track.x - x).max() < 0.03
    assert np.ptp(track.y - y) < 0.02
    assert track.radius == pytest.approx(HEAD_RADIUS, rel=0.2)


def test_frames_without_the_ball_count_as_not_visible(rendered):
    frames = rendered(0, "ball").clip.frames.copy()
    empty = frames[:, :, :1].repeat(64, axis=2)
    frames[10:15] = empty[10:15]
    visible = track_disc(frames, BALL_DISC).visible
    assert not visible[10:15].any()
    assert visible.sum() == 44
    assert not track_disc(empty, BALL_DISC).visible.any()


def test_single_frame_can_be_tracked(rendered):
    clip = rendered(3, "ball")
    assert track_disc(clip.clip.frames[:1], BALL_DISC).x[0] == pytest.approx(clip.scene.start_x, abs=0.003)
