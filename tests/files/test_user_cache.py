"""The user's caches lie where the system's rules say."""

from pathlib import Path

import pytest

from mova.files.user_cache import user_cache_folder


def test_it_lies_where_the_variable_says_or_in_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache_folder() == tmp_path / "mova"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert user_cache_folder() == tmp_path / "home" / ".cache" / "mova"


def test_without_a_home_it_can_be_made_nowhere(monkeypatch):
    def no_home(cls):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", classmethod(no_home))
    with pytest.raises(NotADirectoryError):
        user_cache_folder().mkdir(parents=True)
