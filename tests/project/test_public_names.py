"""The names that `import mova` gives."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import mova
from mova.former_paths import FORMER_MODULES, FORMER_NAMES


@pytest.mark.parametrize("name", mova.__all__)
def test_every_public_name_is_there(name):
    assert getattr(mova, name) is not None
    assert name in dir(mova)


def test_a_public_name_is_the_object_of_its_module():
    assert mova.MovaPipeline is importlib.import_module("mova.pipeline.pipeline").MovaPipeline
    assert mova.ClipGeometry is importlib.import_module("mova.geometry").ClipGeometry


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'mova' has no attribute 'MovaPipelin'"):
        mova.MovaPipelin  # noqa: B018


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, mova; mova.__version__, mova.MovaError; "
        "heavy = {'torch', 'numpy', 'diffusers', 'transformers'} & set(sys.modules); assert not heavy, heavy"
    )
    made = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr


def test_former_import_paths_lead_to_modules_that_exist():
    """Whoever moves a module again names its new place in src/mova/former_paths.py."""
    package = Path(mova.__file__).parent
    homes = {*FORMER_MODULES.values(), *(now.partition(":")[0] for now in FORMER_NAMES.values())}
    paths = {home: package / home.replace(".", "/") for home in homes}
    assert [home for home, path in paths.items() if not (path.with_suffix(".py").is_file() or path.is_dir())] == []
