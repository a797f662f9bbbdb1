"""One version: of the package, of its metadata, and of `pyproject.toml`."""

import tomllib
from pathlib import Path

import mova
from mova.version import package_version


def test_the_version_is_that_of_the_project():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert package_version() == mova.__version__ == project["version"]
