"""A first word that is a sub-command wins; every other word goes to the command without a name."""

from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from mova.cli.terminal.first_word import DEFAULT, DefaultCommand, FirstWordGroup


@pytest.fixture
def app():
    group = typer.Typer(cls=FirstWordGroup, rich_markup_mode=None)
    group.callback()(lambda: None)

    def whole(name: Annotated[str | None, typer.Argument()] = None, times: int = 1) -> None:
        typer.echo(f"whole {name} {times}")

    def again(name: str) -> None:
        typer.echo(f"again {name}")

    group.command(DEFAULT, cls=DefaultCommand)(whole)
    group.command("again")(again)
    app = typer.Typer(rich_markup_mode=None)
    app.callback()(lambda: None)
    app.add_typer(group, name="do")
    return app


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["x"], "whole x 1"),
        (["--times", "3", "x"], "whole x 3"),
        ([], "whole None 1"),
        (["again", "x"], "again x"),
        (["./again"], "whole ./again 1"),
        (["--times", "3", "again"], "whole again 3"),
        ([DEFAULT], f"whole {DEFAULT} 1"),
    ],
)
def test_the_first_word_decides(app, words, printed):
    assert CliRunner().invoke(app, ["do", *words]).output == f"{printed}\n"


def test_help_is_that_of_the_command_without_a_name(app):
    told = CliRunner().invoke(app, ["do", "--help"]).output
    assert "do [OPTIONS]" in told
    assert "--times" in told
    assert DEFAULT not in told
