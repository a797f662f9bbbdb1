"""The commands of README and guides, run as written, in the order of the page, beside the files of a fresh clone.

A comment before each block of commands says whether it is run: `<!-- run -->` in every test, `<!-- run slow -->` in the
slow ones, `<!-- not run: why -->` not at all.
"""

import os
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs" / "guides").glob("*.md"))]
MARK = re.compile(r"<!-- (?:(run)|(run slow)|not run: (\S.*)) -->")
LANGUAGES = {"python": "python", "bash": "bash", "sh": "bash", "console": "bash"}
# What a fresh clone has that commands of documents name.
CLONED = ("benchmarks", "tests", "src", "constraints.txt")
PROGRAMS = {"mova": "-m mova.cli", "torchrun": "-m torch.distributed.run", "python": ""}


@dataclass(frozen=True)
class Block:
    """Commands of a document: "bash" or "python", with the mark that stands before them ("" where there is none)."""

    line: int
    language: str
    text: str
    mark: str


def blocks_of(document):
    """Indented blocks and fenced ones with a language; a fence without one shows no commands."""
    found, lines, mark, index = [], document.read_text().splitlines(), "", 0
    while index < len(lines):
        line, start = lines[index], index
        fence = re.fullmatch(r"```(\w*)", line)
        if fence:
            index = next(at for at in range(start + 1, len(lines)) if lines[at] == "```")
            if fence[1] in LANGUAGES:
                found.append(Block(start + 1, LANGUAGES[fence[1]], "\n".join(lines[start + 1 : index]), mark))
        elif line.startswith("    ") and not lines[start - 1].strip():
            while index + 1 < len(lines) and (lines[index + 1].startswith("    ") or not lines[index + 1].strip()):
                index += 1
            body = [text.removeprefix("    ") for text in lines[start : index + 1]]
            is_python = any(re.match(r"(import|from) \w", text) for text in body)
            found.append(Block(start + 1, "python" if is_python else "bash", "\n".join(body).strip(), mark))
        if line.strip():
            mark = line.strip() if MARK.fullmatch(line.strip()) else ""
        index += 1
    return found


def name_of(document):
    return document.relative_to(ROOT).as_posix()


def clone(folder):
    """A folder as a fresh clone has it, and a place for the programs that an active environment offers."""
    for name in CLONED:
        (folder / name).symlink_to(ROOT / name)
    programs = folder.parent / "bin"
    programs.mkdir()
    for name, module in PROGRAMS.items():
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return programs


def run_blocks(document, kinds, folder):
    folder.mkdir()
    programs = clone(folder)
    environment = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder.parent / "hub"),
    }
    for block in blocks_of(document):
        match = MARK.fullmatch(block.mark)
        if match is None or not (match[1] or match[2]) or (match[1] or match[2]) not in kinds:
            continue
        command = ["bash", "-euo", "pipefail", "-c", block.text]
        if block.language == "python":
            command = [sys.executable, "-c", block.text]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        place = f"{name_of(document)}:{block.line}"
        assert done.returncode == 0, f"{place} ended with {done.returncode}:\n{block.text}\n{done.stderr[-2000:]}"


def has(document, kind):
    return any(block.mark == f"<!-- {kind} -->" for block in blocks_of(document))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_block_says_whether_it_is_run_and_why_not(document):
    unmarked = [f"{name_of(document)}:{block.line}" for block in blocks_of(document) if not block.mark]
    assert not unmarked, "a line <!-- run -->, <!-- run slow --> or <!-- not run: why --> before the block is missing"


def test_blocks_are_found_with_their_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n\n<!-- run -->\n\n    mova a \\\n        --b\n\n    mova c\n\ntext\n\n    mova d\n\n"
        "<!-- not run: a download -->\n```python\nimport mova\n```\n\n```\na map\n```\n"
    )
    assert [(block.language, block.text, block.mark) for block in blocks_of(page)] == [
        ("bash", "mova a \\\n    --b\n\nmova c", "<!-- run -->"),
        ("bash", "mova d", ""),
        ("python", "import mova", "<!-- not run: a download -->"),
    ]


@pytest.mark.parametrize("document", [page for page in DOCUMENTS if has(page, "run")], ids=name_of)
def test_the_cheap_commands_of_a_document_run_as_written(document, tmp_path):
    run_blocks(document, {"run"}, tmp_path / "clone")


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("document", [page for page in DOCUMENTS if has(page, "run slow")], ids=name_of)
def test_all_commands_of_a_document_run_as_written(document, tmp_path):
    shutil.rmtree(tmp_path / "clone", ignore_errors=True)
    run_blocks(document, {"run", "run slow"}, tmp_path / "clone")
