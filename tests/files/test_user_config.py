"""The user's settings lie where the system's rules say."""

from pathlib import Path

from mova.files.user_config import user_config_folder


def test_it_lies_where_the_variable_says_or_in_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert user_config_folder() == tmp_path / "mova"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert user_config_folder() == tmp_path / "home" / ".config" / "mova"


def test_without_a_home_there_is_nothing(monkeypatch):
    def no_home(cls):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(Path, "home", classmethod(no_home))
    assert not (user_config_folder() / "enhance.yaml").exists()
