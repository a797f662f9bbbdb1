"""Writes the file map of docs/map.md: every file and folder with the first sentence that it says of itself."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
START, END = "<!-- map: written by `make map` -->", "<!-- end of map -->"
COLUMN = 32

# What cannot speak for itself. Folders here are listed without their files.
PHRASES = {
    ".dockerignore": "what the build of a container leaves out",
    ".ci": "what a change must pass, and the script behind this map",
    ".gitignore": "what git leaves out",
    "ARCHITECTURE.md": "journeys through the files, the import rule, dtypes, words, shapes",
    "CHANGELOG.md": "what users can notice, by version",
    "CONTRIBUTING.md": "set-up, checks, rules, proof of value",
    "LICENSE": "Apache-2.0",
    "Makefile": "every target with its set-up: `make help`",
    "README.md": "what it is, how to start, where to go on",
    "benchmarks": "scripts that measure, and dated results with their command",
    "benchmarks/ablations": "one program: variants that differ in one setting, trained and measured",
    "benchmarks/free_wordings.jsonl": "free wordings for the toy world, and what each asks for",
    "benchmarks/results": "one note per machine and month",
    "docs": "guides, decisions and results",
    "docs/guides": "how to do larger things",
    "docs/decisions": "one page for each choice that a newcomer would question",
    "docs/images": "what the README shows, made by benchmarks/make_readme_clip.py",
    "docs/map.md": "this page: every file and folder",
    "docs/results": "figures with the command that gives each",
    "pyproject.toml": "metadata, dependencies and the settings of all tools",
    "src": "the package",
    "src/mova/evaluate/arena/migrations": "one change of the tables of an arena each, in their order",
    "src/mova/serve/jobs/migrations": "one change of the tables of jobs each, in their order",
    "src/mova/database/scripts": "what alembic runs migrations with",
    "src/mova/assets": "the shipped model, mova-tiny, with its card, training log and history; shipped recipes",
    "src/mova/py.typed": "says that the package is typed",
    "tools": "scripts that bring what does not come with the package",
    "tools/serve": "the server as a service of the system, behind reverse proxies, in a container",
    "tests": "a folder for each folder of src/mova, a file for each file; besides:",
    "tests/journeys": "from a prompt to an mp4, from clips to weights",
    "tests/numerics": "recorded tensors and key lists of the published implementation, and the tests against them",
    "tests/project": "rules that the project keeps about itself",
}
UNLISTED = {"docs/images", "src/mova/assets", "docs/results", "benchmarks/results", "tests/journeys", "tests/numerics"}


def project_files() -> list[Path]:
    """List the files that git knows or would add, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = listed.stdout.decode().split("\0")
    return sorted(Path(name) for name in names if name and (ROOT / name).is_file())


def render_map() -> str:
    """Return the map, markers included."""
    files = project_files()
    folders = {parent for file in files for parent in file.parents if parent != Path()}
    lines = []
    for path in sorted({*files, *folders}, key=lambda path: _order(path, folders)):
        if _is_listed(path):
            name = "  " * (len(path.parts) - 1) + path.name + ("/" if path in folders else "")
            lines.append(f"{name:<{COLUMN}} {phrase(path)}".rstrip())
    return "\n".join([START, "```", *lines, "```", END])


def phrase(path: Path) -> str:
    """Return what a file or folder says of itself: the first sentence of its docstring, comment or heading."""
    name = path.as_posix()
    if name in PHRASES:
        return PHRASES[name]
    file = ROOT / path
    if file.is_dir():
        inside = file / "__init__.py"
        return _sentence(ast.get_docstring(ast.parse(inside.read_text())) or "") if inside.is_file() else ""
    text = file.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return _sentence(ast.get_docstring(ast.parse(text)) or "")
    line = next((line for line in text.splitlines() if line.startswith("#") and not line.startswith("#!")), "")
    return _sentence(line.lstrip("# "))


def _sentence(text: str) -> str:
    paragraph = " ".join(text.partition("\n\n")[0].split())
    return re.split(r"[.;](?:\s|$)", paragraph, maxsplit=1)[0].rstrip(":")


def _is_listed(path: Path) -> bool:
    name = path.as_posix()
    if any(parent.as_posix() in UNLISTED for parent in path.parents):
        return False
    if path.name == "__init__.py":
        return len(path.parts) == 3  # the package's own; a folder's line says what its docstring says
    if name.startswith("tests/"):
        return name in PHRASES
    return True


def _order(path: Path, folders: set[Path]) -> list[tuple[bool, str]]:
    """Files before folders at every level, both by name."""
    steps = [Path(*path.parts[: depth + 1]) for depth in range(len(path.parts))]
    return [(step in folders, step.name) for step in steps]


def main() -> int:
    """Rewrite docs/map.md, or with --check only say whether it is up to date."""
    page = ROOT / "docs" / "map.md"
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(START)
    after = rest.split(END)[1]
    fresh = before + render_map() + after
    if fresh == text:
        return 0
    if "--check" in sys.argv:
        sys.stderr.write("the file map, docs/map.md, is out of date; run: make map\n")
        return 1
    page.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
