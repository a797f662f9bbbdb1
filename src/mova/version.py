"""Which version of the package this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def package_version() -> str:
    """Return the version of the installed package, such as "0.1.0"; "0+source" for sources that are not installed."""
    try:
        return version("mova")
    except PackageNotFoundError:
        return "0+source"
