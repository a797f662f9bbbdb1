"""`mova evaluate arena`: people compare models blind in the browser."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mova.cli.terminal.process import stop_if_asked
from mova.cli.terminal.progress import TextBars

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mova.evaluate.arena.store import Store

ArenaArgument = Annotated[Path, typer.Argument(metavar="ARENA", help="Folder of the arena.")]


def register(group: typer.Typer) -> None:
    """Add the commands to `mova evaluate`."""
    arena = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    arena.callback()(_arena)
    for command, name in (
        (create, "create"),
        (serve, "serve"),
        (link, "link"),
        (ratings, "ratings"),
        (export_votes, "export"),
        (import_votes, "import"),
    ):
        arena.command(name)(command)
    group.add_typer(arena, name="arena")


def _arena() -> None:
    """Let people compare models blind, pair by pair, in the browser, and rank the models by their votes."""


def create(
    root: ArenaArgument,
    model: Annotated[
        list[str],
        typer.Option(help="NAME=CLIPS, for each model: a folder of clips or a manifest; two or more."),
    ],
    prompts: Annotated[
        Path | None,
        typer.Option(help="File of prompts (JSON or JSON lines); without it, those that stand in the clips."),
    ] = None,
    title: Annotated[str, typer.Option(help="Title of the page; raters see it.")] = "",
    database: Annotated[
        str,
        typer.Option(help="URL of an empty PostgreSQL database; without it, SQLite in the folder."),
    ] = "",
) -> None:
    """Make an arena: copies of the clips, without a word of where they came from, and a database."""
    from mova.evaluate.arena.create import create_arena, parse_models

    with TextBars(says_left=True) as bars:

        def show(done: int, total: int) -> None:
            stop_if_asked()
            bars.show("clips", done, total)

        made = create_arena(
            root, parse_models(model), title=title, prompts=prompts, database=database, on_progress=show
        )
    for line in made.left_out:
        typer.echo(f"left out: {line}", err=True)
    typer.echo(f"{made.num_clips} clips of {made.num_prompts} prompts: {made.num_pairs} pairs")


def link(
    root: ArenaArgument,
    rater: Annotated[list[str], typer.Option(help="Name of a rater; may be given several times.")],
    address: Annotated[str, typer.Option(help="Address at which raters reach the server.")] = "http://127.0.0.1:8600",
    renew: Annotated[bool, typer.Option("--renew", help="Give known raters a new link; the former one ends.")] = False,
) -> None:
    """Print a link for each rater. It holds a secret, of which only a digest is kept."""
    from mova.errors import ConfigError

    if not address.startswith(("http://", "https://")):
        raise ConfigError(f"address must begin with http:// or https://, got {address!r}; nearest is http://{address}")
    with _store(root) as store:
        for name in rater:
            secret = store.add_rater(name, time.time(), renew=renew)
            typer.echo(f"{name}\t{address.rstrip('/')}/#{secret}")


def serve(
    root: ArenaArgument,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at, 0 to 65535; 0 takes a free one.")] = 8600,
    watch: Annotated[
        str,
        typer.Option(
            help="Votes before both clips were watched: required refuses them, recorded keeps and marks them."
        ),
    ] = "required",
    ballot_minutes: Annotated[float, typer.Option(help="Minutes for which a pair may be voted on.")] = 60.0,
    votes_per_minute: Annotated[int, typer.Option(help="Votes of one rater in a minute.")] = 20,
) -> None:
    """Serve the page to raters until Ctrl-C. A vote that is acknowledged is on the disk, once."""
    from mova.errors import ConfigError
    from mova.evaluate.arena.folder import media_folder, serving_alone
    from mova.evaluate.arena.records import Watch, read_choice
    from mova.evaluate.arena.server.app import make_app
    from mova.evaluate.arena.voting import Booth, Rules
    from mova.web.server import run_server

    if not 0 <= port <= 65_535:
        raise ConfigError(f"port must be 0 to 65535, got {port}; nearest is {min(max(port, 0), 65_535)}")
    rules = Rules(read_choice(Watch, watch, "watch"), ballot_minutes, votes_per_minute)
    with _store(root) as store, serving_alone(root, store.database):
        app = make_app(Booth(store, rules), media_folder(root), store.facts().title)
        shown = f"[{host}]" if ":" in host else host
        run_server(app, host, port, lambda taken: typer.echo(f"http://{shown}:{taken}/"), extra="arena")


def ratings(
    votes: Annotated[Path, typer.Argument(metavar="ARENA", help="Folder of an arena, or a file of exported votes.")],
    criterion: Annotated[str, typer.Option(help="Criterion to print; all of them go into the report.")] = "overall",
    cluster: Annotated[
        str, typer.Option(help="What intervals take as alike: votes on one prompt, or of one rater.")
    ] = "prompt",
    with_marked: Annotated[
        bool, typer.Option("--with-marked", help="Count votes that are marked as too fast or unwatched.")
    ] = False,
    report: Annotated[Path | None, typer.Option(help="Folder for the report: JSON, Markdown and a page.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all criteria as JSON.")] = False,
) -> None:
    """Rank the models: Bradley-Terry with intervals, Elo, wins, ties and losses, and whether the side mattered."""
    from mova.evaluate.arena.exchange import read_votes
    from mova.evaluate.arena.ratings.outcomes import Cluster
    from mova.evaluate.arena.ratings.summary import summarise
    from mova.evaluate.arena.records import Criterion, read_choice
    from mova.evaluate.arena.report.markdown import summary_markdown
    from mova.evaluate.arena.report.write import write_report

    wanted = read_choice(Criterion, criterion, "criterion")
    alike = read_choice(Cluster, cluster, "cluster")
    if votes.is_dir():
        with _store(votes) as store:
            facts = store.facts()
            title, models, given = facts.title, facts.models, tuple(store.votes())
    else:
        found = read_votes(votes)
        title, models, given = found.title, found.models, found.votes
    summary = summarise(given, models, title=title, cluster=alike, counts_marked=with_marked)
    if report is not None:
        write_report(report, summary)
    if as_json:
        typer.echo(json.dumps(summary.to_json(), indent=1, ensure_ascii=False, allow_nan=False))
        return
    chosen = [one for one in summary.criteria if one.criterion is wanted]
    typer.echo(summary_markdown(summary, chosen).rstrip())


def export_votes(
    root: ArenaArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File to write, such as votes.jsonl.")],
) -> None:
    """Write all votes into a file of JSON lines; it holds no secret."""
    from mova.evaluate.arena.exchange import write_votes

    with _store(root) as store:
        votes = store.votes()
        write_votes(file, store.facts(), votes)
    typer.echo(f"{len(votes)} votes")


def import_votes(
    root: ArenaArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File that `export` wrote.")],
) -> None:
    """Add the votes of a file to an arena of the same models and prompts; those that are there stay as they are."""
    from mova.evaluate.arena.exchange import check_models, read_votes

    found = read_votes(file)
    with _store(root) as store:
        check_models(found, store.facts().models, file)
        added, known = store.add_votes(found.votes, time.time())
    typer.echo(f"{added} votes added, {known} known")


@contextmanager
def _store(root: Path) -> Iterator[Store]:
    from mova.evaluate.arena.folder import open_arena
    from mova.evaluate.arena.store import Store

    with open_arena(root) as database:
        yield Store(database)
