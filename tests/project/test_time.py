"""No test depends on how fast or quiet a machine is: none asserts what a clock says, and limits are for what hangs."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FOLDERS = sorted(path.name for path in TESTS.iterdir() if path.is_dir() and not path.name.startswith(("_", ".")))
FILES = sorted(path for folder in FOLDERS for path in (TESTS / folder).rglob("*.py"))
CLOCKS = {
    "perf_counter",
    "perf_counter_ns",
    "monotonic",
    "monotonic_ns",
    "process_time",
    "process_time_ns",
    "thread_time",
}
# Five times what the slowest of them takes on a quiet machine, and more.
LEAST_LIMIT_S = 300


def reads_clock(node, tainted=frozenset()):
    """Whether an expression asks a clock, or uses a name that was computed from one."""
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and (
            part.attr in CLOCKS
            or (part.attr == "time" and isinstance(part.value, ast.Name) and part.value.id == "time")
        ):
            return True
        if isinstance(part, ast.Name) and (part.id in CLOCKS or part.id in tainted):
            return True
    return False


def clock_assertions(tree):
    found = []
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        tainted = set()
        for node in ast.walk(function):
            match node:
                case ast.Call(func=ast.Attribute(attr="append", value=ast.Name(id=name)), args=args) if any(
                    map(reads_clock, args)
                ):
                    tainted.add(name)
            if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign) and node.value and reads_clock(node.value):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                tainted |= {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
        found += [
            node.lineno
            for node in ast.walk(function)
            if isinstance(node, ast.Assert) and reads_clock(node.test, frozenset(tainted))
        ]
    return found


def short_limits(tree):
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            is_mark = isinstance(node.func, ast.Attribute) and node.func.attr == "timeout"
            limits = [word.value for word in node.keywords if word.arg == "timeout"]
            limits += node.args[:1] if is_mark else []
            found += [
                node.lineno
                for limit in limits
                if isinstance(limit, ast.Constant)
                and isinstance(limit.value, int | float)
                and 1 < limit.value < LEAST_LIMIT_S
            ]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(TESTS).as_posix())
def test_no_test_asserts_what_a_clock_says(path):
    assert clock_assertions(ast.parse(path.read_text())) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(TESTS).as_posix())
def test_limits_of_time_are_for_what_hangs(path):
    assert short_limits(ast.parse(path.read_text())) == []


def test_assertions_of_clocks_are_found():
    code = (
        "def test_a():\n    start = time.perf_counter()\n    work()\n    assert time.perf_counter() - start < 1\n"
        "def test_b():\n    took = time.monotonic() - begun\n    assert took < 5\n"
        "def test_d():\n    took = []\n    took.append(time.perf_counter() - start)\n    assert min(took) < 0.5\n"
        "def test_c():\n    while time.monotonic() < until:\n        work()\n    assert done\n"
    )
    assert clock_assertions(ast.parse(code)) == [4, 7, 11]
    assert short_limits(
        ast.parse("process.wait(timeout=30)\nprocess.wait(timeout=600)\n@mark.timeout(60)\ndef t(): 0")
    ) == [1, 3]
