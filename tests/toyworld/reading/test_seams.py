"""Clicks where two parts of a sound were joined."""

import numpy as np
import pytest

from mova.toyworld.reading.seams import seams_are_quiet
from mova.toyworld.scenes.registry import DEFAULT_KINDS


def _quiet(clip, waveform, seams_s):
    heard_s = [event.time_s for event in clip.scene.hear(clip.clip.waveform, 16_000)]
    return seams_are_quiet(waveform, 16_000, seams_s, heard_s, clip.scene.quiet_rise)


@pytest.mark.parametrize("kind", DEFAULT_KINDS)
def test_true_clips_are_quiet_everywhere(rendered, kind):
    for index in range(4):
        clip = rendered(index, kind)
        assert _quiet(clip, clip.clip.waveform, np.arange(0.1, 1.9, 0.04).tolist())


@pytest.mark.parametrize("kind", DEFAULT_KINDS)
def test_a_click_is_found_where_it_is_and_nowhere_else(rendered, kind):
    clip = rendered(1, kind)
    heard_s = [event.time_s for event in clip.scene.hear(clip.clip.waveform, 16_000)]
    free = [at for at in np.arange(0.2, 1.7, 0.02) if all(abs(at - onset) > 0.1 for onset in heard_s)]
    jump = clip.clip.waveform.copy()
    start = round(free[0] * 16_000)
    jump[:, start : start + 800] += 0.1
    assert _quiet(clip, jump, [free[0]]) is False
    assert _quiet(clip, jump, [free[-1]])


def test_a_seam_at_an_onset_says_nothing(rendered):
    clip = rendered(0, "keys")
    onset = clip.events[0].time_s
    assert _quiet(clip, clip.clip.waveform, [onset + 0.01]) is None
    assert _quiet(clip, None, [1.0]) is None
    assert _quiet(clip, clip.clip.waveform, []) is None
