"""Which product computes which linear layers on a CPU: names, what a machine was found to do best, and its file.

A choice is a small table: for each class of shapes `torch` (PyTorch's own product, MKL on x86) or `onednn`. It is
measured once per machine (`mova.kernels.calibration`) and kept in the user's cache folder; clips and training states
carry the table that they were made with. No torch here: options are checked before it is imported.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from mova.errors import ConfigError
from mova.files.json_file import Fields, shorten, shorten_text
from mova.files.user_folders import user_cache_folder

AUTO, PLAIN = "auto", "plain"
KERNELS: Final = (AUTO, PLAIN)
"""auto: linear layers on a CPU compute with what is fastest there; plain: by a fixed rule, always the same bits."""
VARIABLE: Final = "MOVA_KERNELS"
"""Environment variable with the choice where none is given."""

TORCH, ONEDNN = "torch", "onednn"
FEW_ROWS, MANY_ROWS = 64, 384
"""Rows from which a product counts as one of few rows, and as one of many."""
MOST_WIDTH: Final = 2048
"""Widths beyond it count as that: rates have stopped to change, and a measurement would take long."""
_PRODUCTS: Final = (TORCH, ONEDNN)
_SHAPE: Final = re.compile(r"[1-9]\d{0,3}x[1-9]\d{0,3}(\+gelu)? (few|many)")
_MOST_BYTES: Final = 2**20
_FILE: Final = "linear_kernels.jsonl"


def check_kernels_name(name: str, what: str = "kernels") -> str:
    """Return a choice of kernels.

    Args:
        name: as given.
        what: gave it, for the error.

    Raises:
        ConfigError: there is no such choice: the rule, the name, and the nearest.
    """
    if name not in KERNELS:
        nearest = difflib.get_close_matches(name, KERNELS, n=1, cutoff=0.0)[0]
        raise ConfigError(f"{what} must be {' or '.join(KERNELS)}, got {name!r}; nearest is {nearest}")
    return name


def default_kernels() -> str:
    """Return the choice where none is given: that of the environment variable, or auto.

    Raises:
        ConfigError: the variable holds something else.
    """
    return check_kernels_name(os.environ.get(VARIABLE) or AUTO, VARIABLE)


@dataclass(frozen=True)
class LinearChoice:
    """What computes the linear layers on one machine.

    Attributes:
        machine: processor, instruction set, version of torch and threads that it was measured with.
        products: `torch` or `onednn` by the name of a `ShapeClass`.
    """

    machine: str
    products: Mapping[str, str] = field(default_factory=dict)

    def uses_onednn(self, one: ShapeClass, otherwise: bool) -> bool:
        """Say whether oneDNN computes a class; `otherwise` where nothing is known of it, with a GELU or without."""
        for known in (one, one._replace(has_gelu=not one.has_gelu)):
            if (product := self.products.get(str(known))) is not None:
                return product == ONEDNN
        return otherwise

    def to_record(self) -> dict[str, object]:
        """Return it as JSON values."""
        return {"machine": self.machine, "products": dict(self.products)}

    @classmethod
    def read(cls, record: Fields) -> LinearChoice:
        """Read what `to_record` returned.

        Raises:
            MovaError: of the class of the record: it is none.
        """
        products = record.fields("products")
        return cls(shorten_text(record.text("machine")), {name: _product(products, name) for name in products.values})


class ShapeClass(NamedTuple):
    """Products of one rate: (rows, width) x (width, out), with a GELU behind or without; rows are few or many."""

    width: int
    out: int
    has_gelu: bool
    rows: str

    @classmethod
    def of(cls, width: int, out: int, *, has_gelu: bool, rows: str) -> ShapeClass:
        """Return the class of a layer's product."""
        return cls(min(width, MOST_WIDTH), min(out, MOST_WIDTH), has_gelu, rows)

    def __str__(self) -> str:
        """Return its name in records."""
        return f"{self.width}x{self.out}{'+gelu' if self.has_gelu else ''} {self.rows}"


class ChoiceFile:
    """What machines were found to do best, in a file that they and processes may share.

    Lines are only added, each of them at once; of two for one class the first counts, so processes that measure at the
    same time agree. What is no such line is passed over, and a folder that cannot be written is no error.

    Args:
        folder: of the file; by default that of the user's caches.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.path = (folder or user_cache_folder()) / _FILE

    def read(self, machine: str) -> dict[str, str]:
        """Return the products by class of shapes that a machine was found to do best; nothing where it is unknown."""
        found: dict[str, str] = {}
        for line in self._lines():
            entry = _parse(line)
            if entry is not None and entry[0] == machine:
                found.setdefault(entry[1], entry[2])
        return found

    def add(self, machine: str, products: Mapping[str, str]) -> dict[str, str]:
        """Keep products of a machine.

        Returns:
            Those that count for these classes: of another process where it came first.
        """
        lines = [json.dumps({"machine": machine, "shape": key, "product": one}) for key, one in products.items()]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.is_file() and self.path.stat().st_size > _MOST_BYTES:
                self.path.unlink()
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                # A line that was cut short ends here.
                os.write(handle, ("\n" + "\n".join(lines) + "\n").encode())
            finally:
                os.close(handle)
        except OSError:
            return dict(products)
        first = self.read(machine)
        return {key: first.get(key, one) for key, one in products.items()}

    def _lines(self) -> Iterable[bytes]:
        try:
            # A pipe or a device would have no end.
            if not self.path.is_file() or self.path.stat().st_size > _MOST_BYTES:
                return []
            return self.path.read_bytes().splitlines()
        except OSError:
            return []


def _parse(line: bytes) -> tuple[str, str, str] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict):
        return None
    machine, shape, product = (entry.get(key) for key in ("machine", "shape", "product"))
    if not isinstance(machine, str) or not isinstance(shape, str) or not _SHAPE.fullmatch(shape):
        return None
    return (machine, shape, product) if product in _PRODUCTS else None


def _product(products: Fields, name: str) -> str:
    found = products.text(name)
    if not _SHAPE.fullmatch(name) or found not in _PRODUCTS:
        known = " or ".join(_PRODUCTS)
        raise products.error(f"{products.where} must name {known} for shapes, got {shorten(name)}: {shorten(found)}")
    return found
