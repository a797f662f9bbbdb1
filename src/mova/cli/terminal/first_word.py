"""Commands that take a name or sub-commands: a first word that is a sub-command wins, and `./word` is always a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    import typer

DEFAULT: Final = "NAME"
"""Name that the command for everything else is registered by; it is in no help."""


class FirstWordGroup(TyperGroup):
    """A group whose command `DEFAULT` takes all words that begin with no sub-command."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Put the default command before words that begin with no sub-command."""
        if not args or args[0] == DEFAULT or args[0] not in self.commands:
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)

    # Commands are those of click, which typer needs in one version and has inside in another.
    def resolve_command(self, ctx: typer.Context, args: list[str]) -> object:  # type: ignore[override]
        """Return the command without its name where it is the default: its usage begins with the group's."""
        name, command, rest = super().resolve_command(ctx, args)
        return ("" if name == DEFAULT else name), command, rest


class DefaultCommand(TyperCommand):
    """A command without a name of its own."""

    def format_usage(self, ctx: typer.Context, formatter: object) -> None:  # type: ignore[override]
        """Write the usage with the group's name alone."""
        formatter.write_usage(  # type: ignore[attr-defined]
            ctx.command_path.rstrip(), " ".join(self.collect_usage_pieces(ctx))
        )
