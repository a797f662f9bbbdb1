"""The folder of weights, which tests read and never fill: `make scorers` does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def weights() -> Path:
    """Return the folder; where MOVA_TEST_SCORERS names one that is not there, tests fail, else they are left out."""
    named = os.environ.get("MOVA_TEST_SCORERS", "")
    folder = Path(named or ROOT / ".scorers")
    if not (folder / "yamnet" / "model.onnx").is_file():
        if named:
            pytest.fail(f"MOVA_TEST_SCORERS must be a folder that `make scorers` has filled, got {named}")
        pytest.skip("the weights of these scorers are not here; `make scorers` fetches them")
    return folder
