"""Reading and comparing the recorded tensors (see records/README.md)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

RECORDS = Path(__file__).parent / "records"


@dataclass(frozen=True)
class Record:
    """Tensors and settings of one record."""

    tensors: dict[str, torch.Tensor]
    settings: dict[str, Any]

    def weights(self, part: str = "") -> dict[str, torch.Tensor]:
        """Return the official state dict, or that of one part of a step record."""
        prefix = f"weights.{part}." if part else "weights."
        return {key.removeprefix(prefix): value for key, value in self.tensors.items() if key.startswith(prefix)}

    def assert_close(self, actual: torch.Tensor, name: str) -> None:
        """Compare with a recorded tensor inside the record's own tolerance."""
        tolerance = self.settings["tolerance"]
        torch.testing.assert_close(
            actual,
            self.tensors[name],
            atol=tolerance["suggested_atol"],
            rtol=tolerance["suggested_rtol"],
            msg=lambda text: f"{name}: {text}",
        )


@pytest.fixture
def read_record() -> Callable[[str], Record]:
    """Return a function that reads a record by name."""

    def read(name: str) -> Record:
        settings = json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8"))
        return Record(load_file(RECORDS / f"{name}.safetensors"), settings)

    return read


@pytest.fixture(autouse=True)
def _without_gradients() -> Any:
    with torch.no_grad():
        yield
