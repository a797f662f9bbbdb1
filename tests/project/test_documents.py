"""What the documents say is there: commands, options, targets, recipes, links, notes; and how long the README is."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from mova.cli.app import main

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "benchmarks").glob("*.md")),
]


def commands(document):
    text = document.read_text().replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if re.match(r" {4}(mova|make) ", line)]


def commands_in_lines(document):
    """Commands between backticks; of a history only what can still be asked for counts, so CHANGELOG.md has none."""
    if document.name == "CHANGELOG.md":
        return []
    found = re.findall(r"(?<!`)`((?:mova|make) [^`]+)`", re.sub(r"\n *", " ", document.read_text()))
    return [command for command in found if re.match(r"(mova|make) [a-z]", command)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_of_a_document_exists_with_its_options(document, capsys):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for command in [*commands(document), *commands_in_lines(document)]:
        program, *words = shlex.split(command.partition(" > ")[0], comments=True)
        if program == "make":
            assert words[0] in targets, command
            continue
        verbs = []
        groups = ("toyworld", "weights", "evaluate")
        depth = 2 if words[0] in groups or words[:2] == ["curate", "verdicts"] else 1
        for word in words[: 3 if words[:2] in (["evaluate", "arena"], ["serve", "keys"]) else depth]:
            verbs.append(word)
        assert main([*verbs, "--help"]) == 0, command
        known = capsys.readouterr().out
        for option in re.findall(r"(--[a-z-]+)", command):
            assert re.search(rf"{option}\b", known), command


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_recipe_that_a_document_names_comes_with_the_package(document):
    recipes = {path.stem for path in (ROOT / "src" / "mova" / "assets" / "recipes").rglob("*.yaml")}
    for command in [*commands(document), *commands_in_lines(document)]:
        named = re.search(r"mova(?:\.cli)? train ([a-z0-9_]+)(?=$|[ `])", command)
        assert named is None or named[1] in recipes, command


def test_the_readme_is_read_in_five_minutes():
    size = (ROOT / "README.md").stat().st_size
    assert 10_000 <= size <= 15_000, f"README.md is 10 to 15 kB, got {size}: details go into docs/guides"


def test_every_guide_is_in_the_index_of_guides():
    folder = ROOT / "docs" / "guides"
    named = re.findall(r"^\| \[([a-z_]+\.md)\]", (folder / "README.md").read_text(), re.MULTILINE)
    assert {path.name for path in folder.glob("*.md")} - {"README.md", *named} == set()


def test_every_figure_has_its_command_and_its_note():
    """A row without a dated note names the tests that hold it, in the last table."""
    tables = (ROOT / "docs" / "results" / "README.md").read_text().split("\n## ")
    notes = []
    for table in tables[1:-1]:
        for row in [line for line in table.splitlines() if line.startswith("| ")][2:]:
            *_, command, note = row.strip("| ").split(" | ")
            assert "`" in command or command.startswith(("the same", "the first")), row
            notes += re.findall(r"\]\((\.\./\.\./benchmarks/results/[^)]+\.md)\)", note)[:1] or [row]
    assert len(notes) >= 20
    assert [note for note in notes if not (ROOT / "docs" / "results" / note).is_file()] == []


def test_the_commands_of_the_readme_are_found():
    found = commands(ROOT / "README.md")
    assert {"make demo", "make test"} <= {command.partition("  ")[0] for command in found}
    assert len([command for command in found if command.startswith("mova ")]) >= 8


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_between_documents_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_the_layers_of_the_architecture_are_those_that_are_checked():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    drawn = re.search(
        r"<!-- layers.*?-->\n```\n(.*?)\n```\n<!-- end", (ROOT / "ARCHITECTURE.md").read_text(), re.DOTALL
    )
    expected = [layer.replace("mova.", "") for layer in layers]
    assert [line.partition("  ")[0] for line in drawn[1].splitlines()] == expected, "ARCHITECTURE.md: layers"


def test_files_that_the_architecture_names_exist():
    """In its tables a path is relative to the package, and a bare name to the folder of the path before it."""
    for line in (ROOT / "ARCHITECTURE.md").read_text().splitlines():
        folder = Path()
        for name in re.findall(r"`([a-z_/]+\.py)`", line):
            folder = Path(name).parent if "/" in name else folder
            assert (ROOT / "src" / "mova" / folder / Path(name).name).is_file(), f"{name} in: {line}"
