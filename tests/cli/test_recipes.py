"""Shipped recipes are listed and shown by every verb that has any."""

import pytest

from mova.cli.app import main
from mova.recipe.locate import list_recipes


@pytest.mark.parametrize("verb", ["train", "curate"])
def test_names_and_texts_of_shipped_recipes_are_printed(verb, capsys):
    shipped = list_recipes(verb)
    assert main([verb, "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [one.name for one in shipped]
    assert main([verb, shipped[0].name, "--show"]) == 0
    assert capsys.readouterr().out == shipped[0].path.read_text(encoding="utf-8")


@pytest.mark.parametrize("verb", ["train", "curate"])
def test_a_recipe_that_is_not_there_names_the_nearest(verb, capsys):
    name = list_recipes(verb)[0].name
    assert main([verb, f"{name}x", "--show"]) == 2
    assert f"did you mean {name}?" in capsys.readouterr().err
    assert main([verb, "./nothing.yaml", "--show"]) == 2
    assert "there is no recipe at nothing.yaml" in capsys.readouterr().err
    assert main([verb, name, "--show", "--dry-run"]) == 2
    assert "goes with no other option, got --dry-run too" in capsys.readouterr().err
