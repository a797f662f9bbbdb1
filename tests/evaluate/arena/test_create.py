"""An arena is made of folders of clips, and nothing in it says which model made what."""

import json
from pathlib import Path

import numpy as np
import pytest

from arena_kit import MODELS, write_model_clips
from mova.errors import ConfigError
from mova.evaluate.arena.create import create_arena, parse_models
from mova.evaluate.arena.folder import open_arena
from mova.evaluate.arena.store import Store


def test_copies_of_clips_name_nobody(arena):
    files = list((arena / "media").iterdir())
    assert len(files) == 6
    assert len({path.stat().st_mtime for path in files}) == 1
    words = [*MODELS, "ball", "x264", "Lavf", "model"]
    for path in files:
        assert not [word for word in words if word in path.name or word.encode() in path.read_bytes()]
    assert json.loads((arena / "arena.json").read_text()) == {"database": ""}


def test_the_store_knows_what_the_arena_was_made_of(arena):
    with open_arena(arena) as database:
        store = Store(database)
        assert store.facts().models == MODELS
        assert (store.facts().title, store.facts().num_prompts, store.facts().num_votes) == ("Balls", 2, 0)
        assert [clip.seconds for clip in store.clips()] == pytest.approx([0.125] * 6)
        assert sorted(store.prompt_texts().values()) == ["a blue ball, number 1", "a red ball, number 0"]


def test_clips_that_do_not_play_are_left_out_and_told(tmp_path):
    for model in MODELS[:2]:
        write_model_clips(tmp_path / model, model, ["one", "two"])
    manifest = tmp_path / MODELS[0] / "clips.jsonl"
    names = [("a", f"{MODELS[0]}_0.mp4", "one"), ("b", "broken.mp4", "two"), ("c", None, "three")]
    manifest.write_text("".join(json.dumps({"id": i, "path": p, "prompt": t}) + "\n" for i, p, t in names))
    (manifest.parent / "broken.mp4").write_bytes((manifest.parent / names[0][1]).read_bytes()[:600])
    made = create_arena(tmp_path / "arena", {model: tmp_path / model for model in MODELS[:2]})
    assert (made.num_prompts, made.num_pairs, made.num_clips) == (1, 1, 2)
    assert "broken.mp4" in made.left_out[0]
    assert "fewer than two models" in made.left_out[1]
    assert len(list((tmp_path / "arena" / "media").iterdir())) == 2


def test_a_place_that_is_taken_and_a_title_that_tells_are_refused(arena, tmp_path):
    models = {model: arena.parent / "clips" / model for model in MODELS}
    with pytest.raises(ConfigError, match=r"nearest is .*arena_2"):
        create_arena(arena, models)
    with pytest.raises(ConfigError, match="must name no model"):
        create_arena(tmp_path / "new", models, title="Is Anna_1B better?")
    with pytest.raises(ConfigError, match="at most 200"):
        create_arena(tmp_path / "new", models, title="x" * 201)
    with pytest.raises(ConfigError, match="such as postgresql://"):
        create_arena(tmp_path / "new", models, database="mysql://host/name")
    assert not (tmp_path / "new" / "arena.json").exists()


@pytest.mark.services
def test_an_arena_may_have_its_database_in_postgresql(arena, tmp_path, postgres):
    models = {model: arena.parent / "clips" / model for model in MODELS}
    url = postgres("created").replace("+psycopg", "")
    create_arena(tmp_path / "arena", models, database=url)
    assert not (tmp_path / "arena" / "arena.sqlite").exists()
    with open_arena(tmp_path / "arena") as database:
        store = Store(database)
        assert not database.is_sqlite
        assert (store.facts().models, len(store.clips())) == (MODELS, 6)
    with pytest.raises(ConfigError, match="empty database"):
        create_arena(tmp_path / "another", models, database=url)


def test_models_are_read_from_words():
    assert parse_models(["a=x/y", "b=c=d"]) == {"a": Path("x/y"), "b": Path("c=d")}
    for words in (["a"], ["=x"], ["a="], ["a=x", "a=y"]):
        with pytest.raises(ConfigError, match=r"NAME=CLIPS|twice"):
            parse_models(words)


def test_an_arena_without_a_clip_that_plays_is_refused(tmp_path):
    for model in MODELS[:2]:
        (tmp_path / model).mkdir()
        (tmp_path / model / "1.mp4").write_bytes(np.zeros(100, np.uint8).tobytes())
    with pytest.raises(ConfigError, match="got none; the first of 3 reasons"):
        create_arena(tmp_path / "arena", {model: tmp_path / model for model in MODELS[:2]})
