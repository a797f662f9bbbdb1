"""Processes that one command starts: they end together, with one result or one error."""

import multiprocessing

import pytest

import launch_jobs
from mova.distributed.launch import launch
from mova.errors import ConfigError, MissingExtraError, StageError
from mova.generate.processes import Processes
from mova.generate.request import ClipOptions
from mova.generate.run import make_request
from mova.settings.sampling import GivenSettings


def test_the_main_process_speaks_for_all():
    assert launch(3, launch_jobs.add_up, 10) == (33, 0, 3)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("kind", "error", "text"),
    [
        ("input", ConfigError, "the value is wrong"),
        pytest.param("extra", MissingExtraError, "somewhere is needed", marks=pytest.mark.slow),
        ("bug", ZeroDivisionError, "by zero"),
        ("foreign", StageError, "_ForeignError: 1 and 2"),
        ("killed", StageError, r"process 1 of 2 was lost \(signal 9\)"),
    ],
)
def test_the_failure_of_one_ends_all_with_its_error(kind, error, text):
    # Before the limit of a test ends it: the patience of an exchange is half an hour.
    with pytest.raises(error, match=text) as raised:
        launch(2, launch_jobs.fail, kind)
    assert not multiprocessing.active_children()
    if kind == "bug":
        assert "launch_jobs.py" in raised.value.__notes__[0]


def test_no_process_is_no_job():
    with pytest.raises(ConfigError, match="processes must be 1 or more, got 0; nearest is 1"):
        launch(0, launch_jobs.add_up, 1)


def test_one_that_breaks_leaves_no_file(checkpoint, tmp_path):
    folder, request = make_request(
        str(checkpoint),
        ClipOptions(prompt="a dog", settings=GivenSettings(height=32, width=32, num_frames=5, num_inference_steps=2)),
    )
    with pytest.raises(RuntimeError, match="the memory of this device is full"):
        launch(2, launch_jobs.break_on_one, request, folder, tmp_path / "a.mp4", Processes(2))
    assert list(tmp_path.iterdir()) == []
