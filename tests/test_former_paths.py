"""Import paths of version 0.1: each row of the tables works, and says once where things are now."""

import subprocess
import sys
import warnings
from importlib import import_module
from types import ModuleType

import pytest

from mova.former_paths import FORMER_MODULES, FORMER_NAMES, FormerPathFinder, install

# Names that the README and the guides of 0.1 had, as an importer writes them.
DOCUMENTED = """
import mova.generate.load
from mova.generate.load import load_pipeline
from mova.generate.runtime import Runtime
from mova.generate.request import SamplingSettings
from mova.distributed.mesh import start_parallel
"""


@pytest.fixture
def forget():
    """Former modules are not imported before a test, nor after it."""

    def forget_all():
        for former in FORMER_MODULES:
            sys.modules.pop(f"mova.{former}", None)

    forget_all()
    yield
    forget_all()


def import_former(former):
    """The module, and the texts of the warnings about its own path."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        module = import_module(f"mova.{former}")
    return module, [warning for warning in caught if str(warning.message).startswith(f"mova.{former} is now ")]


@pytest.mark.parametrize(("former", "now"), FORMER_MODULES.items())
def test_a_former_module_says_its_new_name_once_and_gives_the_same_objects(forget, former, now):
    module, caught = import_former(former)
    assert [warning.category for warning in caught] == [DeprecationWarning]
    assert str(caught[0].message) == f"mova.{former} is now mova.{now}; the former path goes with the next version"
    assert not import_former(former)[1], "a second import warns again"
    successor = import_module(f"mova.{now}")
    elsewhere = {row.partition(":")[2] for row in FORMER_NAMES if row.startswith(f"{former}:")}
    public = [name for name in vars(successor) if not name.startswith("_") and name not in elsewhere]
    public = [name for name in public if not isinstance(getattr(successor, name), ModuleType)]
    assert module.__doc__ == successor.__doc__
    assert [name for name in public if getattr(module, name) is not getattr(successor, name)] == []


@pytest.mark.parametrize(("former", "now"), FORMER_NAMES.items())
def test_a_name_that_left_its_module_is_found_where_it_was(forget, former, now):
    path, _, name = former.partition(":")
    home, _, new_name = now.partition(":")
    module = import_former(path)[0]
    still_there = name in vars(module)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = [getattr(module, name) for _ in range(2)]
    try:
        expected = getattr(import_module(f"mova.{home}"), new_name)
        assert all(value is expected for value in found)
        texts = [f"mova.{path}.{name} is now mova.{home}.{new_name}; the former path goes with the next version"]
        assert [str(warning.message) for warning in caught] == ([] if still_there else texts)
    finally:
        if not still_there:
            delattr(module, name)


@pytest.mark.slow
def test_the_warning_is_shown_for_the_line_that_imports(tmp_path):
    script = tmp_path / "mine.py"
    script.write_text(DOCUMENTED)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "is now mova." in line]
    assert f"{script}:2: DeprecationWarning: mova.generate.load is now mova.pipeline.load" in lines[0]
    assert f"{script}:4: DeprecationWarning: mova.generate.runtime is now mova.pipeline.runtime" in lines[1]


def test_what_is_in_neither_place_is_an_error_that_names_the_new_module(forget):
    with pytest.warns(DeprecationWarning, match=r"mova\.pipeline\.load"):
        module = import_module("mova.generate.load")
    with pytest.raises(AttributeError, match=r"is now mova\.pipeline\.load, which has no 'load_pipelines'"):
        module.load_pipelines  # noqa: B018


def test_an_unknown_name_of_a_module_that_stayed_is_the_usual_error():
    with pytest.raises(AttributeError, match=r"module 'mova\.generate\.request' has no attribute 'SAMPLER'"):
        import_module("mova.generate.request").SAMPLER  # noqa: B018


def test_other_packages_may_have_modules_of_the_same_names():
    assert FormerPathFinder.find_spec("generate.load") is None
    with pytest.raises(ModuleNotFoundError):
        import_module("mova.generate.loads")


def test_a_successor_is_no_former_path_itself():
    assert set(FORMER_MODULES.values()) & set(FORMER_MODULES) == set()
    assert {row.partition(":")[0] for row in FORMER_NAMES.values()} & set(FORMER_MODULES) == set()


def test_the_finder_is_installed_once():
    install()
    assert sys.meta_path.count(FormerPathFinder) == 1
