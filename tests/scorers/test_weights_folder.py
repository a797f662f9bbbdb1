"""The folder of weights: named by a recipe or by the environment."""

import pytest

from mova.errors import ConfigError
from mova.scorers.base import Needs, WeightsFile
from mova.scorers.weights_folder import VARIABLE, find_folder, missing, reason


def test_a_recipe_comes_before_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert find_folder() is None
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert find_folder() == tmp_path
    (tmp_path / "own").mkdir()
    assert find_folder(str(tmp_path / "own")) == tmp_path / "own"


@pytest.mark.parametrize("way", ["score.weights", VARIABLE])
def test_a_folder_that_does_not_exist_is_an_error(tmp_path, monkeypatch, way):
    if way == VARIABLE:
        monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=f"{way} must be a folder .*none, which is none"):
        find_folder("" if way == VARIABLE else str(tmp_path / "none"))


def test_only_files_that_are_missing_are_named(tmp_path):
    needs = Needs(weights=(WeightsFile("a.bin", "here", "MIT"), WeightsFile("b.bin", "there", "none stated")))
    (tmp_path / "a.bin").write_bytes(b"")
    assert missing(needs, tmp_path) == "b.bin, from there, licence: none stated"
    (tmp_path / "b.bin").write_bytes(b"")
    assert reason(needs, tmp_path) is None
    assert "a.bin" in missing(needs, None)
