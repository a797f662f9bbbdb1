"""Recipes that come with the package, as the commands that run them list and show them."""

from __future__ import annotations

from collections.abc import Mapping

import typer


def print_names(verb: str) -> None:
    """Print a line for each shipped recipe of a verb; the stages of a run stand below it."""
    from mova.recipe.locate import list_recipes

    shipped = list_recipes(verb)
    names = [f"{'  ' if one.ladder else ''}{one.name}" for one in shipped]
    width = max(map(len, names)) + 2
    for name, one in zip(names, shipped, strict=True):
        typer.echo(f"{name:<{width}}{one.summary}")


def print_recipe(recipe: str, verb: str, others: Mapping[str, object]) -> None:
    """Print the text of a recipe as it is on disk, comments included.

    Args:
        recipe: name or path.
        verb: command that runs it.
        others: further options of the command and their values; none may be set.

    Raises:
        ConfigError: there is no such recipe, or another option is set.
    """
    from mova.errors import ConfigError
    from mova.recipe.locate import find_recipe, former_recipe

    if given := [name for name, value in others.items() if value]:
        raise ConfigError(f"--show prints a recipe as it is and goes with no other option, got {', '.join(given)} too")
    path = find_recipe(recipe, verb)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"there is no recipe at {path}{former_recipe(path, verb)}") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as a recipe: {error}") from error
    typer.echo(text, nl=False)
