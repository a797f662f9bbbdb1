"""Video and sound generated together.

    pipe = mova.MovaPipeline.from_pretrained("mova-tiny")
    result = pipe("a red ball falls on a drum", image=image)

Public names load on first use, so that importing the package, and `mova --help`, stay quick.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from mova import former_paths

if TYPE_CHECKING:
    from mova.errors import MovaError
    from mova.generate.request import GenerateRequest
    from mova.geometry import ClipGeometry, CodecGeometry
    from mova.pipeline.output import MovaPipelineOutput
    from mova.pipeline.pipeline import MovaPipeline
    from mova.types import Clip

_HOMES = {
    "Clip": "mova.types",
    "ClipGeometry": "mova.geometry",
    "CodecGeometry": "mova.geometry",
    "GenerateRequest": "mova.generate.request",
    "MovaError": "mova.errors",
    "MovaPipeline": "mova.pipeline.pipeline",
    "MovaPipelineOutput": "mova.pipeline.output",
}

former_paths.install()

# Imported by diffusers, it says that a kernel is missing which nothing here uses.
logging.getLogger("bitsandbytes.backends.cpu.ops").addFilter(
    lambda record: "gemm_4bit_forward" not in record.getMessage()
)

__all__ = [
    "Clip",
    "ClipGeometry",
    "CodecGeometry",
    "GenerateRequest",
    "MovaError",
    "MovaPipeline",
    "MovaPipelineOutput",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from mova.version import package_version

        return package_version()
    if name not in _HOMES:
        raise AttributeError(f"module 'mova' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
