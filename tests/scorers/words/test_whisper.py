"""A local model writes down speech; nothing is fetched. Runs where faster-whisper and a model are."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mova.scorers.clip_media import ClipMedia
from mova.scorers.words.choice import choose_transcriber
from mova.scorers.words.said import SaidScorer
from shared_scoring import clip_of, score, tone

LINE = "Please turn left at the next traffic light and wait for me."


@pytest.fixture(scope="module")
def folder():
    pytest.importorskip("faster_whisper", reason="the extra `whisper` is not installed")
    place = Path(os.environ.get("MOVA_TEST_SCORERS", "") or Path(__file__).parents[3] / ".scorers") / "whisper-tiny-en"
    if not (place / "model.bin").is_file():
        pytest.skip("the model is not here; tools/fetch_scorers.py --whisper fetches it")
    return place


def test_a_spoken_line_is_understood_and_music_says_nothing(folder, tmp_path):
    import wave

    try:
        subprocess.run(["espeak-ng", "-s", "140", "-w", tmp_path / "a.wav", LINE], check=True)
    except FileNotFoundError:
        pytest.skip("espeak-ng is not installed")
    with wave.open(str(tmp_path / "a.wav")) as file:
        rate = file.getframerate()
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
    path = clip_of(tmp_path / "a.mp4", sound=sound, sample_rate=rate).path
    scorer = SaidScorer(choose_transcriber(str(folder)))
    assert score(scorer, ClipMedia(path, f'A man says "{LINE}"')).scores["said_wer"].value <= 0.2
    assert score(scorer, ClipMedia(path, 'A man says "Nothing of that at all."')).scores["said_wer"].value >= 1
    hum = clip_of(tmp_path / "b.mp4", sound=tone(220, 2.0)).path
    assert score(scorer, ClipMedia(hum, f'A man says "{LINE}"')).scores["said_wer"].value == 1
