"""What the documents say is there: commands, options, targets, links."""

import re
import shlex
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


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_of_a_document_exists_with_its_options(document, capsys):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for command in commands(document):
        program, *words = shlex.split(command.partition(" > ")[0], comments=True)
        if program == "make":
            assert words[0] in targets, command
            continue
        verbs = []
        for word in words[: 2 if words[0] in ("toyworld", "weights", "evaluate") else 1]:
            verbs.append(word)
        assert main([*verbs, "--help"]) == 0, command
        known = capsys.readouterr().out
        for option in re.findall(r"(--[a-z-]+)", command):
            assert re.search(rf"{option}\b", known), command


def test_the_commands_of_the_readme_are_found():
    found = commands(ROOT / "README.md")
    assert {"make demo", "make test"} <= {command.partition("  ")[0] for command in found}
    assert len([command for command in found if command.startswith("mova ")]) >= 8


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_between_documents_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_files_that_the_architecture_names_exist():
    """In its tables a path is relative to the package, and a bare name to the folder of the path before it."""
    for line in (ROOT / "ARCHITECTURE.md").read_text().splitlines():
        folder = Path()
        for name in re.findall(r"`([a-z_/]+\.py)`", line):
            folder = Path(name).parent if "/" in name else folder
            assert (ROOT / "src" / "mova" / folder / Path(name).name).is_file(), f"{name} in: {line}"
