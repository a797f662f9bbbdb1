"""The bar of jobs that count."""

import pytest

from mova.cli.progress import counting_bar


def test_the_bar_keeps_stdout_free(capsys):
    with counting_bar("clips", 3) as advance:
        for _ in range(3):
            advance()
    assert capsys.readouterr().out == ""


def test_an_error_passes_through():
    with pytest.raises(ZeroDivisionError), counting_bar("clips", 3):
        raise ZeroDivisionError
