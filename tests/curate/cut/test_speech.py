"""Speech is found where it is, in blocks of any size, and in a memory that does not grow."""

import numpy as np
import pytest

from footage_kit import spoken
from mova.curate.cut.speech import SAMPLE_RATE, SpeechRules, find_speech
from mova.media.transcode.listen import Heard

SAID = ((2.0, 4.5), (6.0, 7.0))


@pytest.fixture(scope="module")
def waveform():
    return spoken(8.0, SAID, SAMPLE_RATE)[0]


def pieces(waveform, size, begin_s=0.0):
    return (
        Heard(begin_s + first / SAMPLE_RATE, waveform[first : first + size], first == 0)
        for first in range(0, len(waveform), size)
    )


@pytest.mark.parametrize("size", [777, 16_000, 1 << 20])
def test_segments_do_not_depend_on_how_the_audio_comes(waveform, size):
    found = find_speech(pieces(waveform, size), SpeechRules())
    assert found == find_speech(pieces(waveform, 512), SpeechRules())
    assert np.array(found) == pytest.approx(np.array(SAID), abs=0.2)


def test_a_run_that_begins_later_is_placed_by_its_own_time(waveform):
    runs = [*pieces(waveform, 4096), *pieces(waveform, 4096, 100.0)]
    found = find_speech(runs, SpeechRules())
    assert np.array(found[2:]) == pytest.approx(np.array(found[:2]) + 100.0, abs=1e-6)


def test_silence_noise_and_tones_are_no_speech():
    random = np.random.default_rng(0)
    times = np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE
    for sound in (np.zeros_like(times), 0.1 * random.standard_normal(len(times)), 0.5 * np.sin(2764 * times)):
        assert find_speech(pieces(sound.astype(np.float32), 8192), SpeechRules()) == []
    assert find_speech([], SpeechRules()) == []


def test_short_segments_and_pauses_go_by_the_rules(waveform):
    assert len(find_speech(pieces(waveform, 8192), SpeechRules(min_speech_s=1.5))) == 1
    assert len(find_speech(pieces(waveform, 8192), SpeechRules(min_pause_s=2.0))) == 1
