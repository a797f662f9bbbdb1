"""Which file a recipe's name or path stands for."""

from pathlib import Path

import pytest

import mova
from mova.errors import ConfigError
from mova.recipe.locate import find_recipe, former_recipe, list_recipes

HISTORY = Path(mova.__file__).parent / "assets" / "mova-tiny" / "history"


def test_every_shipped_name_is_there_once_and_leads_to_its_file():
    shipped = list_recipes("train")
    assert len({recipe.name for recipe in shipped}) == len(shipped) > 0
    for recipe in shipped:
        assert find_recipe(recipe.name, "train") == recipe.path
        assert recipe.summary
        assert not recipe.ladder or find_recipe(recipe.ladder, "train").parent / recipe.ladder == recipe.path.parent


@pytest.mark.parametrize("path", ["lora.yaml", "lora.yml", "LORA.YAML", "./lora", "folder/lora", "/lora"])
def test_a_separator_or_the_ending_makes_a_path_of_a_text(path, tmp_path):
    assert find_recipe(path, "train") == Path(path)
    assert find_recipe(path, "train", beside=tmp_path) == tmp_path / path


def test_a_path_object_is_no_name():
    assert find_recipe(Path("lora"), "train") == Path("lora")


def test_a_name_is_a_shipped_recipe_whatever_lies_here(tmp_path, monkeypatch):
    (tmp_path / "lora").write_text("stage: lora")
    monkeypatch.chdir(tmp_path)
    assert find_recipe("lora", "train").parent.name == "train"
    assert find_recipe("lora", "train", beside=tmp_path) == find_recipe("lora", "train")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("lroa", r"got the unknown name 'lroa'; did you mean lora\? Names: audio_pretrain, .*, tiny_wordings\."),
        ("", r"got the unknown name ''\. Names: "),
        ("x" * 10_000, r"got the unknown name 'xxx.*\. Names: "),
        ("recipe.json", r"got the unknown name .* The file of that name here is \./recipe\.json\.$"),
        ("a\0b", r"got the unknown name .*Names: "),
    ],
)
def test_an_unknown_name_is_told_all_names_and_the_nearest(name, told, tmp_path, monkeypatch):
    (tmp_path / "recipe.json").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=told) as raised:
        find_recipe(name, "train")
    assert len(str(raised.value)) < 1000


def test_a_verb_without_recipes_has_no_names():
    assert list_recipes("nothing") == []
    with pytest.raises(ConfigError, match="unknown name 'lora'"):
        find_recipe("lora", "nothing")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("recipes/train/lora.yaml", "mova train lora"),
        ("/somewhere/mova/recipes/train/distill_4.yaml", "mova train distill_4"),
        ("lora.yaml", "mova train lora"),
        ("recipes/train/tiny_all.yaml", "mova train tiny"),
        ("recipes/train/tiny_all_phase2.yaml", "mova train tiny_6_phase2"),
        ("recipes/train/tiny.yaml", str(HISTORY / "tiny.yaml")),
        ("recipes/train/tiny_grow_joint.yaml", str(HISTORY / "tiny_grow_joint.yaml")),
        ("recipes/train/ablation_joint.yaml", "benchmarks/ablations/ablation_joint.yaml"),
        ("recipes/train/tiny_own_clips.yaml", "docs/guides/training.md"),
        ("recipes/train/mine.yaml", ""),
        ("elsewhere/tiny_joint.yaml", ""),
        ("recipes/train/lora.json", ""),
    ],
)
def test_a_recipe_of_the_first_version_is_told_its_name_or_where_it_lies(path, told):
    text = former_recipe(Path(path), "train")
    assert told in text
    assert bool(told) == bool(text)
