"""Harmless frames are harmless, and a clip is as bad as its worst frame."""

import numpy as np

from mova.scorers.by_file.nsfw import NsfwScorer, see
from shared_scoring import clip_of, cosine, score, still, texture, value


def test_harmless_frames_are_harmless(weights):
    frames = np.stack([texture(256, 448), *still(0.1, (256, 448))])
    found = see(frames, weights)[0]
    assert found.shape == (3,)
    assert found.max() < 0.3


def test_a_clip_is_as_bad_as_its_worst_frame(weights, tmp_path):
    frames = np.concatenate([np.repeat(texture(256, 448, smooth=32)[None], 24, 0), still(1.0, (256, 448))])
    clip = clip_of(tmp_path / "a.mp4", frames)
    each = see(clip.frames(frame_rate=1.0, short_side=256), weights)[0]
    assert value(NsfwScorer(weights), clip, "nsfw") == each.max()


def test_what_looks_alike_has_near_vectors_and_other_frames_have_not(weights, tmp_path):
    def vector(name, frame):
        clip = clip_of(tmp_path / f"{name}.mp4", np.repeat(frame[None], 24, 0))
        return score(NsfwScorer(weights), clip).embeddings["open_nsfw"]

    here = texture(256, 448, smooth=32)
    first = vector("a", here)
    assert first.shape == (NsfwScorer.spaces[0].width,)
    assert cosine(first, vector("b", (0.9 * here).astype(np.uint8))) > 0.98
    assert cosine(first, vector("c", texture(256, 448, seed=1, smooth=3))) < 0.9
