"""Windows over a long clip."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.conditioning.windows import AUDIO_MARGIN, plan_windows
from mova.errors import ConfigError, GeometryError
from mova.geometry import ClipGeometry, CodecGeometry

TINY = CodecGeometry(sample_rate=16_000, hop_length=320)


def clip(num_frames, frame_rate=24.0, codec=TINY):
    return ClipGeometry(128, 128, num_frames, frame_rate, codec)


lengths = st.integers(2, 60).map(lambda latents: 4 * latents + 1)
rates = st.sampled_from([24.0, 25.0, 30.0, 24_000 / 1001, 12.0])
codecs = st.sampled_from([TINY, CodecGeometry()])


@settings(max_examples=300, deadline=None)
@given(lengths, st.integers(5, 20).map(lambda latents: 4 * latents + 1), rates, codecs, st.floats(0.05, 1.0))
def test_windows_cover_the_clip_exactly_in_both_modalities(num_frames, window_frames, rate, codec, share):
    whole, window = clip(num_frames, rate, codec), clip(window_frames, rate, codec)
    plan = plan_windows(whole, window, overlap_s=share * window.duration_s)
    made = [index for one in plan.windows for index in range(*one.new)]
    assert made == list(range(whole.num_latent_frames))
    heard = [index for one in plan.windows for index in range(*one.new_audio)]
    assert heard == list(range(whole.num_audio_latents))
    for one in plan.windows:
        assert one.stop - one.start == plan.window.num_latent_frames
        assert one.audio_stop - one.audio_start == plan.window.num_audio_latents
        assert 0 <= one.known < one.kept - one.start <= plan.window.num_latent_frames
        assert 0 <= one.known_audio < one.audio_kept - one.audio_start <= plan.window.num_audio_latents


@settings(max_examples=200, deadline=None)
@given(lengths, rates, codecs, st.floats(0.05, 1.0))
def test_audio_and_video_of_a_window_begin_at_the_same_time(num_frames, rate, codec, share):
    whole, window = clip(num_frames, rate, codec), clip(49, rate, codec)
    plan = plan_windows(whole, window, overlap_s=share * window.duration_s)
    fraction = Fraction(rate).limit_denominator(1_000_000)
    latent = Fraction(codec.hop_length, codec.sample_rate)
    for one in plan.windows[:-1]:
        beside = abs(one.audio_start * latent - 4 * one.start / fraction)
        assert beside == 0 or (rate == 24_000 / 1001 and beside <= latent / 2)
        if one.index:
            # What is new is heard where it is seen, but for the margin.
            seen, heard = (4 * (one.new[0] - 1) + 1) / fraction, one.new_audio[0] * latent
            assert 0 <= seen - heard <= (AUDIO_MARGIN + 2) * latent


@settings(max_examples=200, deadline=None)
@given(st.integers(20, 90).map(lambda latents: 4 * latents + 1), st.floats(0.0417, 1.9))
def test_overlaps_are_those_asked_for_to_the_nearest_place_where_windows_can_begin(num_frames, overlap_s):
    plan = plan_windows(clip(num_frames), clip(49), overlap_s=overlap_s)
    assert abs(plan.overlap_s - overlap_s) <= 0.25 + 0.21  # half of the grid; not less than one frame nor all of it
    taken = (plan.overlap - 1) // 4
    for before, after in pairwise(plan.windows):
        shared = before.stop - 1 - after.start
        assert shared == taken or (after is plan.windows[-1] and shared > taken)


def test_a_clip_that_is_no_longer_than_a_window_is_one_window_of_its_own_length():
    plan = plan_windows(clip(25), clip(49))
    (only,) = plan.windows
    assert plan.window == clip(25)
    assert (only.new, only.new_audio) == ((0, 7), (0, clip(25).num_audio_latents))


def test_a_continuation_begins_with_what_is_known():
    plan = plan_windows(clip(193), clip(49), known_frames=13)
    first = plan.windows[0]
    assert (first.known, first.new[0]) == (4, 4)
    assert first.known_audio == 13 * 16_000 // 24 // 320 - AUDIO_MARGIN
    assert plan.begin_s(first) == 13 / 24


def test_times_of_windows_follow_each_other():
    plan = plan_windows(clip(385), clip(49))
    assert plan.begin_s(plan.windows[0]) == 0.0
    for before, after in pairwise(plan.windows):
        assert plan.end_s(before) == plan.begin_s(after)
    assert plan.end_s(plan.windows[-1]) == clip(385).duration_s


@pytest.mark.parametrize("overlap_s", [0.0, -1.0, float("nan"), float("inf"), 2.1])
def test_an_overlap_that_is_none_is_refused(overlap_s):
    with pytest.raises(ConfigError, match=r"overlap must be above 0 and less than a window \(2.042 s\).*nearest is"):
        plan_windows(clip(193), clip(49), overlap_s=overlap_s)


@pytest.mark.parametrize(("known", "nearest"), [(12, 9), (49, 45), (100, 45)])
def test_known_frames_that_leave_nothing_to_do_are_refused(known, nearest):
    with pytest.raises(GeometryError, match=f"known frames must be .* got {known}; nearest is {nearest}"):
        plan_windows(clip(193), clip(49), known_frames=known)


def test_a_window_of_another_size_is_refused():
    with pytest.raises(GeometryError, match="same size"):
        plan_windows(clip(193), replace(clip(49), height=64))


def test_a_window_too_short_to_go_on_from_names_the_nearest():
    with pytest.raises(GeometryError, match="window of 5 frames is too short to go on from; nearest is"):
        plan_windows(clip(193, 24.0), clip(5), method="joint")


def test_joint_windows_share_latent_frames():
    plan = plan_windows(clip(193), clip(49), overlap_s=0.05, method="joint")
    assert plan.overlap == 13


def test_an_unknown_method_is_refused():
    with pytest.raises(ConfigError, match="windows must be one of continue, joint; got 'jump'; nearest is joint"):
        plan_windows(clip(193), clip(49), method="jump")
