"""Where the process of a command begins and ends."""

import signal
import subprocess
import sys
from importlib.metadata import version

import pytest


@pytest.mark.parametrize("module", ["mova", "mova.cli"])
def test_the_package_is_the_command(module):
    made = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == version("mova")
    assert subprocess.run([sys.executable, "-m", module, "nothing"], capture_output=True, check=False).returncode == 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
@pytest.mark.parametrize(("where", "kept"), [("before", None), ("after", 7)])
def test_a_signal_while_python_begins_or_ends_leaves_no_trace_of_python(number, code, where, kept):
    # Before: a signal at the import of the command. After: one when the command has said that all is done.
    script = f"""
import signal, sys
signal.signal({int(number)}, signal.SIG_DFL)
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "mova.cli.app" and {where == "before"}:
            signal.raise_signal({int(number)})
sys.meta_path.insert(0, Finder())
from mova.cli import entry
"""
    if where == "after":
        script += f"""
import atexit
import mova.cli.app
mova.cli.app.main = lambda: 7
atexit.register(lambda: signal.raise_signal({int(number)}))
"""
    made = subprocess.run([sys.executable, "-c", script + "\nentry.run()"], capture_output=True, check=False)
    assert made.returncode == (code if kept is None else kept)
    assert made.stderr == b""
