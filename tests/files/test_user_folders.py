"""The user's settings and caches lie where the system's rules say."""

from pathlib import Path

import pytest

from mova.files.user_folders import user_cache_folder, user_config_folder

FOLDERS = [(user_config_folder, "XDG_CONFIG_HOME", ".config"), (user_cache_folder, "XDG_CACHE_HOME", ".cache")]


@pytest.mark.parametrize(("folder", "variable", "in_home"), FOLDERS)
def test_it_lies_where_the_variable_says_or_in_the_home(tmp_path, monkeypatch, folder, variable, in_home):
    monkeypatch.setenv(variable, str(tmp_path))
    assert folder() == tmp_path / "mova"
    monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert folder() == tmp_path / "home" / in_home / "mova"


@pytest.mark.parametrize(("folder", "variable", "in_home"), FOLDERS)
def test_without_a_home_it_can_be_made_nowhere_and_holds_nothing(monkeypatch, folder, variable, in_home):
    def no_home(cls):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(Path, "home", classmethod(no_home))
    assert not (folder() / "enhance.yaml").exists()
    with pytest.raises(NotADirectoryError):
        folder().mkdir(parents=True)
