"""Everything that can be given lies on the grid of latents, or is refused with what would be right."""

import pytest

from mova.conditioning.spec import Conditions, check_tasks, spans_outside
from mova.errors import ConfigError
from mova.geometry import ClipGeometry, CodecGeometry

# 4.04 s: 25 latent frames of video, 202 of audio.
CLIP = ClipGeometry(32, 32, 97, 24.0, CodecGeometry())
SECOND = 24 / 24


def placed(**given):
    return Conditions(**given).place(CLIP)


def test_known_frames_go_with_given_audio_and_with_nothing_else_missing():
    check_tasks(has_image=True, has_video=False, has_audio=True)
    check_tasks(has_image=False, has_video=True, has_audio=False)
    check_tasks(has_image=False, has_video=False, has_audio=False)


def test_inputs_that_contradict_each_other_are_refused():
    with pytest.raises(ConfigError, match="nothing is left to generate"):
        check_tasks(has_image=False, has_video=True, has_audio=True)
    with pytest.raises(ConfigError, match="video already holds the frames"):
        check_tasks(has_image=True, has_video=True, has_audio=False)


@pytest.mark.parametrize(
    ("moment", "frame", "is_moved"),
    [
        (0, 0, False),
        (-1, 96, False),
        (96, 96, False),
        (0.0, 0, False),
        (1.0, 24, False),
        (1.07, 24, True),
        (1.09, 28, True),
        (10, 12, True),
        (9, 8, True),
        (4.0, 96, False),
        (4.04, 96, False),
        (2, 4, True),
        (1, 0, True),
    ],
)
def test_a_keyframe_stands_where_a_latent_frame_ends_and_says_when_it_was_moved(moment, frame, is_moved):
    found = placed(keyframes=(moment,))
    assert found.keyframes == (frame,)
    assert bool(found.snaps) is is_moved
    if is_moved:
        assert found.snaps[0].used_s == frame / 24
        assert found.snaps[0].record()["what"] == "keyframe"


def test_keyframes_keep_their_order():
    assert placed(keyframes=(-1, 2.0, 0)).keyframes == (96, 48, 0)


@pytest.mark.parametrize(
    ("moments", "text"),
    [
        ((97,), "frames 0 to 96, got frame 97; nearest is 96"),
        ((-98,), "frames 0 to 96, got frame -98; nearest is 0"),
        ((4.2,), r"0 to 4.04167 s, got 4.2 s; nearest is 4 s"),
        ((-0.5,), "got -0.5 s; nearest is 0 s"),
        ((float("nan"),), "keyframes must lie inside the clip"),
        ((1.0, 1.05), "got 1 s and 1.05 s, both on frame 24"),
        ((0, 0.0), "got frame 0 and 0 s, both on frame 0"),
    ],
)
def test_keyframes_outside_the_clip_or_two_on_one_latent_frame_are_refused(moments, text):
    with pytest.raises(ConfigError, match=text):
        placed(keyframes=moments)


def test_what_is_given_is_kept_whole_where_no_span_is_named():
    found = placed(has_video=True)
    assert found.video.is_whole
    assert found.video.latents == ((0, 25),)
    assert found.video.media == ((0, 97),)
    assert found.audio.latents == ()
    assert not found.is_partly_held
    assert placed(has_audio=True).audio.media == ((0, CLIP.num_samples),)


def test_of_a_span_those_latent_frames_stay_that_lie_inside_it():
    found = placed(has_video=True, has_audio=True, keep_video=((0.0, 17 / 24),), keep_audio=((0.0, 17 / 24),))
    assert (found.video.latents, found.video.media) == (((0, 5),), ((0, 17),))
    # 0.708 s are 35.4 latent frames of audio.
    assert (found.audio.latents, found.audio.media) == (((0, 35),), ((0, 35 * 960),))
    assert found.is_partly_held
    assert [snap.what for snap in found.snaps] == ["kept audio, end"]
    # A frame less, and the latent frame that it belongs to does not stay.
    assert placed(has_video=True, keep_video=((0.0, 16 / 24),)).video.latents == ((0, 4),)
    # Seconds as people write them.
    assert placed(has_video=True, keep_video=((0.0, 0.708),)).video.latents == ((0, 5),)
    assert placed(has_video=True, keep_video=()).video.latents == ()


def test_what_lies_outside_of_a_retaken_span_stays():
    kept = spans_outside([(1.0, 2.0)], CLIP.duration_s)
    assert kept == ((0.0, 1.0), (2.0, CLIP.duration_s))
    found = placed(has_video=True, has_audio=True, keep_video=kept, keep_audio=kept)
    # Frames 24 to 47 are made anew, with all of the latent frames that they belong to.
    assert found.video.latents == ((0, 6), (13, 25))
    assert found.video.media == ((0, 21), (49, 97))
    assert found.audio.latents == ((0, 50), (100, 203))
    assert found.audio.media == ((0, 48_000), (96_000, CLIP.num_samples))
    assert spans_outside([(0.0, CLIP.duration_s)], CLIP.duration_s) == ()
    assert spans_outside([(0.0, 1.0)], CLIP.duration_s) == ((1.0, CLIP.duration_s),)


def test_a_keyframe_may_stand_where_the_video_is_made_anew():
    kept = spans_outside([(1.0, 2.0)], CLIP.duration_s)
    assert placed(has_video=True, keep_video=kept, keyframes=(1.5,)).keyframes == (36,)
    with pytest.raises(ConfigError, match=r"got 0\.5 s, whose frame stays anyway"):
        placed(has_video=True, keep_video=kept, keyframes=(0.5,))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"keep_video": ((1.0, 0.5),)}, "must end after it starts, got 1 to 0.5 s; nearest is 0.5 to 1 s"),
        ({"keep_video": ((1.0, 1.0),)}, "must end after it starts"),
        ({"keep_video": ((0.0, 5.0),)}, "must lie inside the clip, 0 to 4.04167 s, got 0 to 5 s; nearest is 0 to 4.04"),
        ({"keep_audio": ((-1.0, 2.0),)}, "got -1 to 2 s; nearest is 0 to 2 s"),
        ({"keep_audio": ((0.0, 2.0), (1.0, 3.0))}, "do not overlap, got 0 to 2 s and 1 to 3 s; nearest is 0 to 3 s"),
        ({"keep_audio": ((0.0, float("inf")),)}, "must be spans in seconds"),
        ({"keep_audio": ((0.005, 0.02),)}, "at least one whole latent frame"),
        ({}, "nothing is left to generate"),
        ({"keep_video": ((0.0, 4.05),), "keep_audio": None}, "must lie inside|nothing is left to generate"),
    ],
)
def test_spans_that_cannot_be_and_clips_that_stay_whole_are_refused(given, text):
    with pytest.raises(ConfigError, match=text):
        placed(has_video=True, has_audio=True, **given)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"has_audio": True, "outputs": frozenset({"audio"})}, "the audio is given and alone asked for"),
        ({"has_video": True, "outputs": frozenset({"video"})}, "the video is given and alone asked for"),
        ({"outputs": frozenset({"smell"})}, "outputs must be one or both"),
        ({"keep_audio": ((0.0, 1.0),)}, "keep_audio is for audio that is given, got 0 to 1 s without it"),
    ],
)
def test_what_is_asked_for_must_be_left_to_make(given, text):
    with pytest.raises(ConfigError, match=text):
        placed(**given)


def test_one_modality_alone_may_be_asked_for_beside_the_other_that_is_given():
    assert placed(has_video=True, outputs=frozenset({"audio"})).video.is_whole
    assert placed(has_audio=True, outputs=frozenset({"video"}), keyframes=(0,)).audio.is_whole
