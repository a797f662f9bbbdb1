"""The command itself: help, version, exit codes, logging."""

import logging
import os
import subprocess
import sys
from importlib.metadata import version

import pytest

import mova.plan.cost
from mova.cli.app import main
from mova.errors import MissingExtraError, NumericalError

VERBS = ("generate", "train", "curate", "evaluate", "toyworld", "weights", "plan", "bench")
PLAN = ["plan", "--model", "mova-360p", "--json"]


def run(*arguments, **variables):
    return subprocess.run(
        [sys.executable, "-m", "mova.cli", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
        check=False,
    )


def test_help_names_every_verb_and_imports_no_torch():
    code = (
        "import sys; from mova.cli.app import main; assert main(['--help']) == 0; "
        "heavy = {'torch', 'numpy', 'diffusers', 'transformers', 'rich'} & set(sys.modules); assert not heavy, heavy"
    )
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    for verb in VERBS:
        assert f"\n  {verb} " in made.stdout


def test_help_imports_little():
    """What makes it answer in a fraction of a second, on whatever machine."""
    code = "import sys; from mova.cli.app import main; main(['--help']); print(len(sys.modules), file=sys.stderr)"
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert int(made.stderr) < 300


def test_version_is_the_installed_one(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == version("mova")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb, capsys):
    assert main([verb, "--help"]) == 0
    assert f"Usage: mova {verb}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["genrate"], ["plan", "--size"], ["plan", "--frames", "many"], ["plan"]])
def test_wrong_usage_is_exit_code_2_on_stderr(arguments, capsys):
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Error" in printed.err


@pytest.mark.parametrize(
    ("raised", "code", "text"),
    [
        (NumericalError("latents must stay finite"), 1, "error: latents must stay finite"),
        (MissingExtraError("yaml", "train"), 3, "mova[train]"),
        (PermissionError(13, "Permission denied", "/locked/clip.mp4"), 2, "Permission denied: '/locked/clip.mp4'"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ZeroDivisionError("division by zero"), 1, "this is a bug in mova, please report it"),
    ],
)
def test_every_failure_has_its_exit_code(monkeypatch, capsys, raised, code, text):
    def fail(*_, **__):
        raise raised

    monkeypatch.setattr(mova.plan.cost, "make_plan", fail)
    assert main(PLAN) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert text in printed.err
    assert ("Traceback" in printed.err) == isinstance(raised, ZeroDivisionError)


def test_threads_are_told_not_to_spin_unless_the_caller_decided(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setenv("GOMP_SPINCOUNT", "77")
    assert main(PLAN) == 0
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    assert os.environ["GOMP_SPINCOUNT"] == "77"


@pytest.mark.parametrize(("options", "level"), [([], logging.INFO), (["--verbose"], logging.DEBUG)])
def test_verbose_logs_details(options, level):
    assert main([*options, *PLAN]) == 0
    assert logging.getLogger("mova").level == level


def test_logs_name_the_rank_and_go_to_stderr(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "3")
    assert main(PLAN) == 0
    logging.getLogger("mova.test").info("hello")
    printed = capsys.readouterr()
    assert "[rank 3] INFO mova.test: hello" in printed.err
    assert "hello" not in printed.out


def test_a_missing_kernel_of_a_library_is_no_news(capsys):
    assert main(["toyworld", "prompt", "--seed", "-1", "--image", "unused.png"]) == 2
    capsys.readouterr()
    logging.getLogger("bitsandbytes.backends.cpu.ops").warning("no kernel")
    logging.getLogger("bitsandbytes.backends.cuda.ops").warning("slow")
    assert capsys.readouterr().err.strip() == "WARNING bitsandbytes.backends.cuda.ops: slow"


def test_a_reader_that_leaves_early_is_no_bug():
    made = subprocess.run(
        f"{sys.executable} -m mova.cli plan --model mova-360p | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.stdout.startswith("mova-360p")
    assert "bug" not in made.stderr
