"""A server that answers as a scripted model does, one for all tests of a process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fake_endpoint import Fake


@pytest.fixture(scope="session")
def served() -> Iterator[Fake]:
    """The server; each test resets it to answers of its own."""
    from fake_endpoint import serve_fake

    with serve_fake() as fake:
        yield fake
