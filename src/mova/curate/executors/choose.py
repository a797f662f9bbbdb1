"""Which executor a recipe asks for."""

from __future__ import annotations

from importlib.util import find_spec

from mova.curate.config.run import ExecutionSection
from mova.curate.executors.base import Executor
from mova.curate.executors.local import LocalExecutor
from mova.curate.executors.ray import RayExecutor
from mova.curate.units import Patience
from mova.errors import MissingExtraError


def make_executor(execution: ExecutionSection) -> Executor:
    """Return the executor of a recipe; nothing is started before it is given units."""
    patience = Patience(execution.attempts, execution.retry_wait_s)
    if execution.executor == "ray":
        return RayExecutor(execution.ray_address or "", execution.workers, patience)
    return LocalExecutor(execution.workers, patience)


def check_executor(execution: ExecutionSection) -> None:
    """See that the executor of a recipe is installed.

    Raises:
        MissingExtraError: it is not.
    """
    if execution.executor == "ray" and find_spec("ray") is None:
        raise MissingExtraError("ray", "ray")
