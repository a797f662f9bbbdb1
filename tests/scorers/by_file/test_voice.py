"""One voice or several in a clip."""

import numpy as np

from mova.scorers.by_file.voice import VoiceScorer, only
from shared_scoring import clip_of, reason, score, tone, value
from shared_speech import SAMPLE_RATE, speak


def test_one_voice_is_more_consistent_than_two(weights, tmp_path):
    one = clip_of(tmp_path / "one.mp4", sound=speak(7.0), sample_rate=SAMPLE_RATE)
    both = np.concatenate([speak(3.5), speak(3.5, 2, 220, 1.2)])
    two = clip_of(tmp_path / "two.mp4", sound=both, sample_rate=SAMPLE_RATE)
    alike, unlike = (value(VoiceScorer(weights), clip, "voice_consistency") for clip in (one, two))
    assert alike > unlike + 0.05
    assert score(VoiceScorer(weights), one).embeddings["ge2e"].shape == (VoiceScorer.spaces[0].width,)


def test_a_clip_with_little_speech_has_a_reason(weights, tmp_path):
    clip = clip_of(tmp_path / "a.mp4", sound=tone(440, 3.0))
    assert reason(VoiceScorer(weights), clip, "voice_consistency") == (
        "not applicable: there are less than two windows of speech"
    )


def test_only_what_lies_in_spans_is_heard():
    sound = np.arange(4 * SAMPLE_RATE)
    assert only(sound, ((0.0, 0.5), (1.0, 1.25))).tolist() == [*range(8000), *range(16_000, 20_000)]
    assert only(sound, ()).size == 0
