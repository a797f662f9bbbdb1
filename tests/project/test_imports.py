"""What can be imported without what."""

import ast
import importlib
import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
BENCHMARKS = sorted((ROOT / "benchmarks").rglob("*.py"))
# Files that need an extra, and the packages that it brings.
NEED_EXTRA = {"train": ("mova.train",)}

HIDE_AND_IMPORT = """
import importlib, importlib.machinery, json, pkgutil, sys, warnings
warnings.simplefilter("ignore")
hidden, skipped = set(json.loads(sys.argv[1])), tuple(json.loads(sys.argv[2]))

class Hide(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in hidden else super().find_spec(name, path, target)

sys.meta_path = [Hide if finder is importlib.machinery.PathFinder else finder for finder in sys.meta_path]
import mova
for module in pkgutil.walk_packages(mova.__path__, "mova."):
    if not module.name.startswith(skipped) and not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


def requirements(extra=None):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project["dependencies"] if extra is None else project["optional-dependencies"][extra]


def closure(names):
    """Distributions that these requirements bring, themselves included, as installed here."""
    found, waiting = set(), [Requirement(name) for name in names]
    while waiting:
        wanted = waiting.pop()
        name = re.sub(r"[-_.]+", "-", wanted.name).lower()
        if name in found or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        try:
            needed = importlib.metadata.distribution(name).requires or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found.add(name)
        waiting += [Requirement(text) for text in needed]
    return found


def test_the_base_install_imports_everything_that_needs_no_extra():
    """Every package that the base dependencies do not bring is hidden, then every module is imported."""
    base = closure(requirements())
    providers = importlib.metadata.packages_distributions()
    hidden = [
        package
        for package, distributions in providers.items()
        if not {re.sub(r"[-_.]+", "-", name).lower() for name in distributions} & {*base, "mova", "pip", "setuptools"}
    ]
    assert {"pytest", "hypothesis", "mypy"} <= set(hidden), "nothing is hidden, so nothing is tested"
    skipped = [module for modules in NEED_EXTRA.values() for module in modules]
    subprocess.run([sys.executable, "-c", HIDE_AND_IMPORT, json.dumps(hidden), json.dumps(skipped)], check=True)


def test_the_names_that_need_an_extra_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(NEED_EXTRA) <= set(extras)


def brought(extra):
    """Distributions that an extra brings, with what they bring; of what is not installed here, the name alone."""
    found, waiting = set(), [Requirement(text) for text in [*requirements(), *requirements(extra)]]
    while waiting:
        wanted = waiting.pop()
        name = re.sub(r"[-_.]+", "-", wanted.name).lower()
        if name == "mova":
            waiting += [Requirement(text) for one in wanted.extras for text in requirements(one)]
        elif (name, frozenset(wanted.extras)) not in found:
            found.add((name, frozenset(wanted.extras)))
            try:
                needed = [Requirement(text) for text in importlib.metadata.requires(name) or []]
            except importlib.metadata.PackageNotFoundError:
                continue
            extras = [*wanted.extras, ""]
            waiting += [
                one for one in needed if not one.marker or any(one.marker.evaluate({"extra": e}) for e in extras)
            ]
    return {name for name, _ in found}


@pytest.mark.parametrize(
    "extra", tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
)
def test_no_extra_brings_torchvision_or_torchaudio(extra):
    """They are built for one version of torch each, and break an environment that has another."""
    assert brought(extra) & {"torchvision", "torchaudio"} == set()


def test_light_modules_import_no_torch():
    light = [
        "mova",
        "mova.cli.app",
        "mova.errors",
        "mova.geometry",
        "mova.types",
        "mova.generate.request",
        "mova.weights.locate",
        "mova.plan.cost",
        "mova.plan.published",
        "mova.models.presets",
    ]
    code = (
        f"import importlib, sys\nfor name in {light}: importlib.import_module(name)\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_load_on_first_use():
    code = (
        "import mova, sys\n"
        "assert 'torch' not in sys.modules\n"
        "assert all(hasattr(mova, name) for name in mova.__all__), mova.__all__\n"
        "assert set(mova.__all__) <= set(dir(mova))\n"
        "assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_constraints_pin_every_direct_dependency():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {re.sub(r"[-_.]+", "-", Requirement(line).name).lower() for line in lines if line and line[0] != "#"}
    named = [*requirements(), *requirements("train"), *requirements("dev")]
    direct = {re.sub(r"[-_.]+", "-", Requirement(text).name).lower() for text in named}
    assert direct - pinned - {"mova"} == set()
    assert all("==" in line for line in lines if line and line[0] != "#")


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_benchmark_finds_what_it_imports_from_the_package(path):
    """Some import where they measure, which nobody sees until the script has run for a while."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "mova":
            module = importlib.import_module(node.module)
            missing = [alias.name for alias in node.names if not hasattr(module, alias.name)]
            assert not [name for name in missing if not importlib.util.find_spec(f"{node.module}.{name}")]
