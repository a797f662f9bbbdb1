"""Which frames of a clip are known for a task."""

import pytest

from mova.data.known import FRAME_TASKS, MOST_KEYFRAMES, task_frames

FRAMES, STRIDE = 49, 4
CONTENTS = [f"clip {index}" for index in range(400)]


def known(task, content="clip", own=FRAMES):
    return task_frames(task, FRAMES, own, STRIDE, content).nonzero()[:, 0].tolist()


def test_first_and_last_frames_are_what_they_are_called():
    assert known("last_frame") == [48]
    assert known("first_and_last_frame") == [0, 48]


def test_keyframes_are_one_to_four_ends_of_latent_frames_at_all_places():
    drawn = [known("keyframes", content) for content in CONTENTS]
    counts = [len(frames) for frames in drawn]
    assert all(0.15 < counts.count(count) / 400 < 0.35 for count in range(1, MOST_KEYFRAMES + 1))
    assert {frame for frames in drawn for frame in frames} == set(range(0, FRAMES, STRIDE))
    assert drawn == [known("keyframes", content) for content in CONTENTS]


def test_a_prefix_is_whole_latent_frames_up_to_three_quarters():
    lengths = set()
    for content in CONTENTS:
        frames = known("prefix", content)
        assert frames == list(range(len(frames)))
        lengths.add(len(frames))
    assert lengths == set(range(5, 38, STRIDE))


@pytest.mark.parametrize("task", FRAME_TASKS)
@pytest.mark.parametrize("own", [1, 3, 5, 30, 48])
def test_nothing_past_the_end_of_a_clip_is_known(task, own):
    for content in CONTENTS[:20]:
        assert 0 < len(known(task, content, own)) <= own
        assert max(known(task, content, own)) < own
    assert known("last_frame", own=own) == known("first_and_last_frame", own=own) == [0]


@pytest.mark.parametrize("task", FRAME_TASKS)
def test_without_a_video_nothing_is_known(task):
    assert known(task, own=0) == []
