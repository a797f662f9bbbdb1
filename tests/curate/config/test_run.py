"""How a run goes has usual values, and no value that makes no sense."""

import pytest
from pydantic import ValidationError

from mova.curate.config.run import ExecutionSection, OutputSection


def test_a_run_takes_all_cores_and_tries_three_times():
    execution = ExecutionSection()
    assert (execution.executor, execution.workers, execution.attempts, execution.retry_failed) == ("local", 0, 3, False)


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"workers": -1}, {"executor": "cloud"}, {"worker": 1}])
def test_wrong_values_are_refused(wrong):
    with pytest.raises(ValidationError):
        ExecutionSection(**wrong)


def test_an_output_folder_is_needed():
    with pytest.raises(ValidationError, match="folder"):
        OutputSection()
