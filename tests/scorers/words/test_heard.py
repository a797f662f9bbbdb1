"""Whether sounds that prompts name are heard."""

import numpy as np

from mova.scorers.clip_media import ClipMedia
from mova.scorers.words.heard import HeardScorer
from shared_scoring import clip_of, reason, score
from shared_speech import SAMPLE_RATE, speak


def test_what_is_named_and_heard_counts(weights, tmp_path):
    path = clip_of(tmp_path / "a.mp4", sound=speak(3.0), sample_rate=SAMPLE_RATE).path
    scorer = HeardScorer(weights)
    assert score(scorer, ClipMedia(path, "A man speaks.")).scores["heard_share"].value == 1
    found = score(scorer, ClipMedia(path, 'A man speaks beside an explosion: "The dog!"'))
    assert (found.scores["heard_share"].value, found.tags) == (0.5, ("speech",))
    assert "names nothing" in reason(scorer, ClipMedia(path, "A grey square."), "heard_share")
    silent = clip_of(tmp_path / "b.mp4", sound=np.zeros(16_000), sample_rate=SAMPLE_RATE).path
    assert score(scorer, ClipMedia(silent, "A man speaks.")).scores["heard_share"].value == 0


def test_without_weights_there_is_a_reason(tmp_path):
    path = clip_of(tmp_path / "a.mp4", sound=speak(1.0), sample_rate=SAMPLE_RATE).path
    assert "failed" in reason(HeardScorer(None), ClipMedia(path, "A dog barks."), "heard_share")
