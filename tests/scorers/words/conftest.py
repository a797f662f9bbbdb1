"""An endpoint for transcripts, a file in which somebody speaks, and the folder of weights."""

import os
from pathlib import Path

import pytest

from fake_endpoint import KEY, KEY_ENV, serve_fake
from mova.scorers.by_file.files import YAMNET_CLASSES
from shared_scoring import clip_of
from shared_speech import SAMPLE_RATE, speak
from transcript_calls import tells


@pytest.fixture(scope="module")
def served():
    with serve_fake() as fake:
        yield fake


@pytest.fixture
def fake(served, monkeypatch):
    monkeypatch.setenv(KEY_ENV, KEY)
    served.reset(tells(""))
    return served


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """A file in which somebody speaks."""
    path = tmp_path_factory.mktemp("clips") / "a.mp4"
    clip_of(path, sound=speak(3.0), sample_rate=SAMPLE_RATE)
    return path


@pytest.fixture(scope="session")
def weights():
    """Return the folder, which tests read and never fill."""
    folder = Path(os.environ.get("MOVA_TEST_SCORERS", "") or Path(__file__).parents[3] / ".scorers")
    if not (folder / YAMNET_CLASSES.name).is_file():
        pytest.skip("the weights of these scorers are not here; `make scorers` fetches them")
    return folder
