"""What the script may not contain; what it does is tried in a browser: tests/journeys/test_studio_in_browser.py."""

import shutil
import subprocess

import pytest

from mova.serve.page.script import SCRIPT


@pytest.mark.parametrize(
    "word", ["innerHTML", "outerHTML", "eval(", "document.write", "import ", "insertAdjacent", "</"]
)
def test_the_script_makes_no_markup_and_loads_nothing(word):
    assert word not in SCRIPT


def test_it_asks_the_public_api_alone():
    import re

    paths = set(re.findall(r'["`](/[a-z][\w/]*)', SCRIPT))
    assert paths
    assert all(one.startswith("/v1/") or one in ("/cancel",) for one in paths if not _is_end(one))


def _is_end(path):
    """Say whether it is what stands behind the id of a clip."""
    return path in ("/content", "/download", "/duplicate", "/remix")


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node, for its look at the grammar")
def test_it_is_of_the_language(tmp_path):
    file = tmp_path / "script.js"
    file.write_text(SCRIPT)
    subprocess.run(["node", "--check", str(file)], check=True)
