"""The file map of docs/map.md against the tree."""

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def load_script():
    spec = importlib.util.spec_from_file_location("file_map", ROOT / ".ci" / "file_map.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def mapped_entries():
    """Paths and phrases as a reader sees them, from indentation alone."""
    text = (ROOT / "docs" / "map.md").read_text()
    block = re.search(r"<!-- map.*?-->\n```\n(.*?)\n```\n<!-- end of map -->", text, re.DOTALL)[1]
    entries, folders = {}, []
    for line in block.splitlines():
        indent, name, words = re.fullmatch(r"( *)(\S+) *(.*)", line).groups()
        depth = len(indent) // 2
        folders = [*folders[:depth], name.rstrip("/")]
        entries["/".join(folders)] = words
    return entries


@pytest.fixture(scope="module")
def tracked():
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return {name for name in listed if name and (ROOT / name).is_file()}


def test_the_map_is_what_the_script_writes():
    assert load_script().render_map() in (ROOT / "docs" / "map.md").read_text(), "run: make map"


def test_every_source_file_is_in_the_map():
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "src" / "mova").rglob("*.py")}
    folders = {path.removesuffix("/__init__.py") for path in sources if path.endswith("/__init__.py")}
    files = {path for path in sources if not path.endswith("/__init__.py")} | folders
    assert files - set(mapped_entries()) == set()


def test_every_top_level_entry_is_in_the_map(tracked):
    assert {name.partition("/")[0] for name in tracked} - set(mapped_entries()) == set()


def test_nothing_in_the_map_is_absent(tracked):
    for name in mapped_entries():
        assert name in tracked or any(other.startswith(f"{name}/") for other in tracked), name


def test_every_entry_has_a_phrase():
    assert [name for name, words in mapped_entries().items() if not words] == []
