"""The tree of errors and what the command line makes of it."""

import pytest

from mova import errors
from mova.errors import MissingExtraError, MovaError

CLASSES = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, MovaError)]


@pytest.mark.parametrize("error", CLASSES)
def test_every_error_has_an_exit_code_of_the_contract(error):
    assert error.exit_code in (1, 2, 3)


def test_wrong_values_are_also_value_errors():
    assert issubclass(errors.ConfigError, ValueError)
    assert issubclass(errors.GeometryError, ValueError)


def test_a_missing_extra_says_how_to_install_it():
    error = MissingExtraError("yaml", "train")
    assert isinstance(error, ImportError)
    assert (error.package, error.extra, error.exit_code) == ("yaml", "train", 3)
    assert "pip install -c constraints.txt 'mova[train]'" in str(error)


def test_the_tree_in_the_docstring_names_every_class():
    for error in CLASSES:
        assert error.__name__ in errors.__doc__


class StubbornError(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def test_an_error_that_cannot_travel_sends_its_text():
    own, foreign = errors.ConfigError("steps must be 1"), StubbornError("one", "two")
    assert errors.portable(own) is own
    sent = errors.portable(foreign)
    assert isinstance(sent, errors.StageError)
    assert str(sent) == "StubbornError: one and two"
