"""Rules about the sources that no linter checks."""

import ast
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "mova"
SOURCES = sorted(PACKAGE.rglob("*.py"))
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_FOLDER_FILES = 16
# Where a third party forces it: its own untyped objects, JSON that is read, arguments that are passed on.
MAX_UNTYPED_FUNCTIONS = 20


def name_of(path):
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_file_says_what_it_is_and_stays_short(path):
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), "a docstring is needed"
    assert len(text.splitlines()) <= MAX_FILE_LINES


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name != "presets.py"], ids=name_of)
def test_functions_fit_on_a_screen(path):
    """The body counts: a signature and a docstring may be as long as the arguments need. Presets are a table."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert length <= MAX_FUNCTION_LINES, node.name


def test_a_folder_fits_in_one_look():
    folders = Counter(path.parent for path in SOURCES)
    too_full = {name_of(folder): files for folder, files in folders.items() if files > MAX_FOLDER_FILES}
    assert too_full == {}


def test_files_do_not_import_each_other_in_circles():
    """An import inside of a function counts too: it is the same knowledge. One for the type checker does not."""
    modules = {".".join(("mova", *path.relative_to(PACKAGE).with_suffix("").parts)): path for path in SOURCES}
    modules = {name.removesuffix(".__init__"): path for name, path in modules.items()}
    graph = {name: imported(path, modules) - {name} for name, path in modules.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def imported(path, modules):
    """Modules of the package that a file imports."""
    tree, found = ast.parse(path.read_text()), set()
    for_types = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    left_out = {id(inner) for node in for_types for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and id(node) not in left_out:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in modules else node.module for name in names} & set(modules)
    return found


def test_few_public_functions_take_or_give_just_anything():
    found = [f"{name_of(path)} {name}" for path in SOURCES for name in untyped(ast.parse(path.read_text()).body)]
    assert len(found) <= MAX_UNTYPED_FUNCTIONS, found


def untyped(body):
    """Names of public functions and methods with `Any` in their signature."""
    for node in body:
        if getattr(node, "name", "_").startswith("_"):
            continue
        if isinstance(node, ast.ClassDef):
            yield from untyped(node.body)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            signature = ast.FunctionDef(**vars(node) | {"body": [], "decorator_list": []})
            if any(isinstance(part, ast.Name) and part.id == "Any" for part in ast.walk(signature)):
                yield node.name


def test_nothing_is_printed():
    """Results leave through the command line's `typer.echo`, everything else through logging."""
    for path in SOURCES:
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        assert not [call for call in calls if isinstance(call, ast.Name) and call.id == "print"], path


def test_only_the_command_line_and_the_choices_of_kernels_and_precision_read_environment_variables():
    # A default for the commands, for Python and for recipes alike, and the folder of the user's caches; compilers;
    # API keys, which may stand nowhere else; the folder of weights of scorers, one for all recipes of a machine; where
    # Ray says its cluster is, and how it is told to start one; the folder of the user's settings, and who enhances.
    kernels = {"kernels/compile.py", "kernels/linear_choice.py"}
    others = {"files/user_folders.py", "generate/enhance/settings.py"}
    others |= {"scorers/weights_folder.py", "curate/executors/ray.py"}
    allowed = {"cli/app.py", "cli/terminal/log.py", "device.py", "endpoints/keys.py", *kernels, *others}
    for path in SOURCES:
        names = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        assert name_of(path) in allowed or not names & {"environ", "getenv", "putenv"}, path


def test_no_folder_or_file_is_named_after_nothing():
    vague = {"utils", "common", "helpers", "misc", "util"}
    assert [path for path in SOURCES if {path.stem, *path.relative_to(PACKAGE).parts} & vague] == []


def test_tests_mirror_the_sources():
    elsewhere = ("benchmarks", "fuzz", "journeys", "numerics", "project", "tools")
    # Names with an underscore in front (`__init__`, `__main__`) hold no behaviour of their own.
    expected = {
        f"{Path(name_of(path)).parent}/test_{path.stem}.py" for path in SOURCES if not path.stem.startswith("_")
    }
    expected = {name.removeprefix("./") for name in expected}
    present = {path.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    mirrored = {name for name in present if name.partition("/")[0] not in elsewhere}
    assert sorted(mirrored - expected) == [], "tests without a source file"
    assert sorted(expected - present) == [], "source files without a test"


def test_the_package_with_its_weights_stays_small():
    size = sum(path.stat().st_size for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert size <= 60e6


def test_no_large_file_but_the_weights_and_the_records():
    allowed = ("src/mova/assets/", "tests/numerics/")
    for path in [*(ROOT / "src").rglob("*"), *(ROOT / "tests").rglob("*"), *(ROOT / "docs").rglob("*")]:
        name = path.relative_to(ROOT).as_posix()
        if path.is_file() and not name.startswith(allowed) and "__pycache__" not in name:
            assert path.stat().st_size <= 500_000, name
