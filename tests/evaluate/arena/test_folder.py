"""The folder of an arena."""

import pytest

from arena_kit import copy_arena, write_url
from mova.errors import ConfigError
from mova.evaluate.arena.folder import media_folder, new_database, open_arena, serving_alone, write_facts


def test_an_arena_opens_again(arena, tmp_path):
    copy = copy_arena(arena, tmp_path / "copy")
    with open_arena(copy) as database:
        assert database.is_sqlite
    assert media_folder(copy).is_dir()
    (copy / "arena.sqlite").unlink()
    with pytest.raises(ConfigError, match=r"arena\.sqlite, which is gone"), open_arena(copy):
        pass


def test_what_is_no_arena_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="mova evaluate arena create"), open_arena(tmp_path):
        pass
    (tmp_path / "arena.json").write_text("{}")
    with pytest.raises(ConfigError, match="database"), open_arena(tmp_path):
        pass
    write_url(tmp_path, "postgresql://nobody@/nothing?host=/nowhere")
    with pytest.raises(ConfigError, match="must be reachable"), open_arena(tmp_path):
        pass


def test_a_new_arena_takes_no_database_of_another(arena, tmp_path):
    copy = copy_arena(arena, tmp_path / "copy")
    with pytest.raises(ConfigError, match="empty database"):
        new_database(copy, "")
    write_facts(tmp_path, "postgresql://host/name")
    assert "postgresql://host/name" in (tmp_path / "arena.json").read_text()


def test_two_do_not_serve_one_arena(arena, tmp_path):
    copy = copy_arena(arena, tmp_path / "copy")
    with open_arena(copy) as database:
        with (
            serving_alone(copy, database),
            pytest.raises(ConfigError, match="one process at a time may use the arena"),
            serving_alone(copy, database),
        ):
            pass
        with serving_alone(copy, database):
            pass
