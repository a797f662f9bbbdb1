"""Harmless frames are harmless, and a clip is as bad as its worst frame."""

import numpy as np

from mova.scorers.by_file.nsfw import NsfwScorer, nsfw_probabilities
from shared_scoring import clip_of, still, texture, value


def test_harmless_frames_are_harmless(weights):
    frames = np.stack([texture(256, 448), *still(0.1, (256, 448))])
    found = nsfw_probabilities(frames, weights)
    assert found.shape == (3,)
    assert found.max() < 0.3


def test_a_clip_is_as_bad_as_its_worst_frame(weights, tmp_path):
    frames = np.concatenate([np.repeat(texture(256, 448, smooth=32)[None], 24, 0), still(1.0, (256, 448))])
    clip = clip_of(tmp_path / "a.mp4", frames)
    each = nsfw_probabilities(clip.frames(frame_rate=1.0, short_side=256), weights)
    assert value(NsfwScorer(weights), clip, "nsfw") == each.max()
