"""Arenas that tests of several folders share."""

from __future__ import annotations

from pathlib import Path

import pytest

from arena_kit import template


@pytest.fixture(scope="session")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an arena of three models and two prompts; tests change copies of it."""
    made: Path = template(tmp_path_factory.mktemp("arena"))
    return made
