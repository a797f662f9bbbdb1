"""What a job is told of an exception."""

import errno

import pytest
import torch

from mova.errors import CheckpointError, ConfigError, MuxError, NumericalError, ReadError, StageError
from mova.serve.artifacts import DiskFullError
from mova.serve.worker.faults import DISK_FULL, OUT_OF_MEMORY, UNKNOWN, is_expected, job_error, without_paths


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("a"), "wrong_order"),
        (ReadError("a"), "input_unreadable"),
        (NumericalError("a"), "not_finite"),
        (CheckpointError("a"), "model_unusable"),
        (MuxError("a"), "not_written"),
        (DiskFullError("a"), "disk_full"),
        (StageError("a"), "failed"),
    ],
)
def test_errors_of_ours_keep_their_text(error, code):
    found = job_error(error)
    assert (found.code, found.message) == (code, "a")


def test_what_has_run_out_is_named_however_deep_it_lies():
    full = OSError(errno.ENOSPC, "No space left on device", "/a/b")
    assert job_error(full) == job_error(caused(MuxError("stopped at /a/b"), full)) == DISK_FULL
    for error in (MemoryError(), torch.OutOfMemoryError("CUDA out of memory")):
        assert job_error(error) == job_error(caused(ConfigError("memory ran out"), error)) == OUT_OF_MEMORY


def test_what_nobody_foresaw_says_nothing_of_the_machine():
    assert job_error(KeyError("a secret")) == UNKNOWN
    assert not is_expected(KeyError())
    assert not is_expected(NumericalError())
    assert is_expected(ConfigError())


def test_paths_become_names():
    assert without_paths("image must be /tmp/x-1/a.png, got 1/2") == "image must be a.png, got 1/2"
    assert len(without_paths("x" * 10_000)) < 1000
