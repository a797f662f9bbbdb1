"""A recipe names the executor; one that is not installed is an error before anything starts."""

import sys
from pathlib import Path

import pytest

from mova.curate.config.run import ExecutionSection
from mova.curate.executors.choose import check_executor, make_executor
from mova.curate.executors.local import LocalExecutor
from mova.curate.executors.ray import RayExecutor
from mova.curate.units import Patience
from mova.errors import MissingExtraError
from shared_curation import ToyCut


def execution(**values):
    return ExecutionSection.model_validate(values)


def test_a_recipe_that_names_none_works_in_processes_of_this_machine():
    assert isinstance(make_executor(execution()), LocalExecutor)
    check_executor(execution())


def test_what_a_recipe_says_of_a_cluster_arrives_there():
    made = make_executor(execution(executor="ray", ray_address="10.0.0.1:6379", workers=3, attempts=2, retry_wait_s=0))
    assert made == RayExecutor("10.0.0.1:6379", 3, Patience(2, 0.0))


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match="ray"):
        check_executor(execution(executor="ray"))
    with pytest.raises(MissingExtraError, match="ray"):
        RayExecutor().run(ToyCut(), iter([None]), Path("nowhere"), print)


def test_an_executor_that_did_nothing_can_be_closed():
    for name in ("local", "ray"):
        make_executor(execution(executor=name)).close()
