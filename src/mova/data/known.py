"""Which frames of a training clip are known where a recipe asks for more than its first: last frame, keyframes, prefix.

Everything follows from the clip and the task, so what is encoded once holds for every run.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import torch

from mova.data.sources.base import fraction

FrameTask = Literal["last_frame", "first_and_last_frame", "keyframes", "prefix"]
FRAME_TASKS: Final[tuple[FrameTask, ...]] = get_args(FrameTask)
MOST_KEYFRAMES: Final = 4
_LONGEST_PREFIX: Final = 0.75


def task_frames(task: FrameTask, num_frames: int, own_frames: int, stride: int, content: str) -> torch.Tensor:
    """Return which frames of a clip are known for a task: (F,) bool.

    Keyframes are 1 to 4 of the frames that end a latent frame, at random places. A prefix is what some whole latent
    frames stand for, from two of them to three quarters of the clip. A clip that ends early has no last frame: its
    first one is known instead.

    Args:
        task: what is asked for.
        num_frames: F.
        own_frames: how many of them are the clip's own; without any, none is known.
        stride: frames per latent frame.
        content: hash of the entry; number and places follow from it.
    """
    known = torch.zeros(num_frames, dtype=torch.bool)
    if not own_frames:
        return known
    ends = range(0, own_frames, stride)
    has_last = own_frames == num_frames
    if task == "keyframes":
        by_chance = sorted(ends, key=lambda place: fraction(content, "keyframe", place))
        known[by_chance[: 1 + int(MOST_KEYFRAMES * fraction(content, "keyframes"))]] = True
    elif task == "prefix":
        longest = max(1, int(_LONGEST_PREFIX * (len(ends) - 1)))
        known[: min(own_frames, 1 + stride * (1 + int(longest * fraction(content, "prefix"))))] = True
    else:
        known[0] = task == "first_and_last_frame" or not has_last
        known[-1] = has_last
    return known
