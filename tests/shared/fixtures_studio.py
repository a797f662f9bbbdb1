"""Servers of clips with their page, which the tests of the page share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from studio_kit import Studio


@pytest.fixture(scope="session")
def quick_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A server whose clips take a moment."""
    with _running(tmp_path_factory.mktemp("quick_studio"), step_s=0.02) as studio:
        yield studio


@pytest.fixture(scope="session")
def slow_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A server whose clips take three seconds."""
    with _running(tmp_path_factory.mktemp("slow_studio"), step_s=0.25, steps=12) as studio:
        yield studio


@pytest.fixture
def quick(quick_studio: Studio) -> Iterator[Studio]:
    """The quick server; it is empty again after the test."""
    yield quick_studio
    quick_studio.clear()


@pytest.fixture
def slow(slow_studio: Studio) -> Iterator[Studio]:
    """The slow server; it is empty again after the test."""
    yield slow_studio
    slow_studio.clear()


@contextmanager
def _running(folder: Path, **options: float) -> Iterator[Studio]:
    studio = Studio(folder, **options)
    try:
        studio.wait_ready()
        yield studio
    finally:
        studio.stop()
