"""What an arena keeps, and what it is asked: in plain SQL that SQLite and PostgreSQL both understand."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from mova.database.database import Database, Transaction, Value
from mova.errors import ConfigError
from mova.evaluate.arena.contents import ArenaFacts, Ballot, Cast, Clip, Kept, NewPrompt, Rater
from mova.evaluate.arena.records import Answer, Criterion, Mark, Vote, read_name

_CRITERIA: Final = tuple(str(one) for one in Criterion)
_COLUMNS: Final = (
    "ballot",
    *_CRITERIA,
    *("watched_left", "watched_right", "replays", "latency_s", "voted", "app_version", "marks"),
)
_INSERT_VOTE: Final = (
    f"INSERT INTO votes ({', '.join(_COLUMNS)}) VALUES ({', '.join(':' + name for name in _COLUMNS)}) "
    "ON CONFLICT (ballot) DO NOTHING"
)
_VOTES: Final = (
    f"SELECT {', '.join('v.' + name for name in _COLUMNS)}, r.name AS rater, p.name AS prompt_name, p.category AS "
    "category, lm.name AS left_model, rm.name AS right_model, b.issued AS issued FROM votes v "
    "JOIN ballots b ON b.id = v.ballot JOIN raters r ON r.id = b.rater "
    "JOIN clips lc ON lc.id = b.left_clip JOIN clips rc ON rc.id = b.right_clip JOIN prompts p ON p.id = lc.prompt "
    "JOIN models lm ON lm.id = lc.model JOIN models rm ON rm.id = rc.model"
)


class Store:
    """An arena's data.

    Args:
        database: whose tables are of this version.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def fill(self, title: str, models: Sequence[str], prompts: Sequence[NewPrompt]) -> None:
        """Write what an arena consists of into empty tables, all or nothing."""
        model_ids = {name: number for number, name in enumerate(models, start=1)}
        clips: list[Mapping[str, Value]] = []
        for number, prompt in enumerate(prompts, start=1):
            for clip in prompt.clips:
                clips.append(
                    {
                        "id": len(clips) + 1,
                        "model": model_ids[clip.model],
                        "prompt": number,
                        "variant": clip.variant,
                        "file": clip.file,
                        "seconds": clip.seconds,
                    }
                )
        with self.database.writing() as run:
            run.run("INSERT INTO facts (name, value) VALUES ('title', :title)", title=title)
            run.run_all(
                "INSERT INTO models (id, name) VALUES (:id, :name)",
                [{"id": number, "name": name} for name, number in model_ids.items()],
            )
            run.run_all(
                "INSERT INTO prompts (id, name, text, category) VALUES (:id, :name, :text, :category)",
                [
                    {"id": number, "name": one.name, "text": one.text, "category": one.category}
                    for number, one in enumerate(prompts, start=1)
                ],
            )
            run.run_all(
                "INSERT INTO clips (id, model, prompt, variant, file, seconds) "
                "VALUES (:id, :model, :prompt, :variant, :file, :seconds)",
                clips,
            )

    def facts(self) -> ArenaFacts:
        """Return what there is."""
        with self.database.reading() as run:
            title = str(run.rows("SELECT value FROM facts WHERE name = 'title'")[0]["value"])
            models = tuple(str(row["name"]) for row in run.rows("SELECT name FROM models ORDER BY id"))
            prompts, votes = (
                _integer(run.rows(f"SELECT COUNT(*) AS n FROM {table}")[0]["n"]) for table in ("prompts", "votes")
            )
        return ArenaFacts(title, models, prompts, votes)

    def clips(self) -> tuple[Clip, ...]:
        """Return all clips, in the order of their keys."""
        with self.database.reading() as run:
            rows = run.rows("SELECT id, model, prompt, variant, file, seconds FROM clips ORDER BY id")
        return tuple(
            Clip(
                _integer(row["id"]),
                _integer(row["model"]),
                _integer(row["prompt"]),
                _integer(row["variant"]),
                str(row["file"]),
                _number(row["seconds"]),
            )
            for row in rows
        )

    def prompt_texts(self) -> dict[int, str]:
        """Return the texts of prompts, by key."""
        with self.database.reading() as run:
            return {_integer(row["id"]): str(row["text"]) for row in run.rows("SELECT id, text FROM prompts")}

    def add_rater(self, name: str, now: float, *, renew: bool = False) -> str:
        """Return a new secret for a rater; only a digest of it is kept.

        Args:
            name: of the rater.
            now: moment.
            renew: whether a rater who is known gets another secret; the former one is worth nothing from then on.

        Raises:
            ConfigError: the name cannot be used, or is known and `renew` is not said.
        """
        read_name(name, "the name of a rater")
        secret = secrets.token_urlsafe(24)
        digest = _digest(secret)
        with self.database.writing() as run:
            if run.rows("SELECT id FROM raters WHERE name = :name", name=name):
                if not renew:
                    raise ConfigError(f"every rater must have a name of their own, got {name!r}, which is known")
                run.run("UPDATE raters SET secret_hash = :digest WHERE name = :name", digest=digest, name=name)
            else:
                run.run(
                    "INSERT INTO raters (name, secret_hash, created) VALUES (:name, :digest, :now)",
                    name=name,
                    digest=digest,
                    now=now,
                )
        return secret

    def rater_of(self, secret: str) -> Rater | None:
        """Return whose secret it is; None where it is nobody's."""
        with self.database.reading() as run:
            rows = run.rows("SELECT id, name FROM raters WHERE secret_hash = :digest", digest=_digest(secret))
        return Rater(_integer(rows[0]["id"]), str(rows[0]["name"])) if rows else None

    def issue(self, ballot: Ballot) -> None:
        """Keep a ballot before it is given out."""
        with self.database.writing() as run:
            _add_ballot(run, ballot)

    def ballot(self, name: str) -> Ballot | None:
        """Return a ballot; None where none of that name was given out."""
        with self.database.reading() as run:
            rows = run.rows("SELECT * FROM ballots WHERE id = :name", name=name)
        return _ballot(rows[0]) if rows else None

    def ballots(self) -> list[tuple[Ballot, bool]]:
        """Return all ballots in the order in which they were given out, and whether each was voted with."""
        with self.database.reading() as run:
            rows = run.rows(
                "SELECT b.*, v.id AS vote FROM ballots b LEFT JOIN votes v ON v.ballot = b.id ORDER BY b.issued, b.id"
            )
        return [(_ballot(row), row["vote"] is not None) for row in rows]

    def keep(self, ballot: str, cast: Cast) -> Kept:
        """Keep a vote. When this returns, it is on the disk, once.

        Returns:
            `NEW`; or, where the ballot was voted with before, whether the answers were the `SAME` or `OTHER` ones. The
            first vote stands.
        """
        with self.database.writing() as run:
            if run.run(_INSERT_VOTE, **_vote_row(ballot, cast)):
                return Kept.NEW
            kept = self._kept(run, ballot)
        return Kept.SAME if kept == dict(cast.answers) else Kept.OTHER

    def answers(self, ballot: str) -> dict[Criterion, Answer] | None:
        """Return the answers that a ballot was voted with; None where it was not."""
        with self.database.reading() as run:
            return self._kept(run, ballot)

    def votes(self) -> list[Vote]:
        """Return all votes, in the order in which they came."""
        with self.database.reading() as run:
            return [_vote(row) for row in run.rows(f"{_VOTES} ORDER BY v.voted, v.ballot")]

    def add_votes(self, votes: Iterable[Vote], now: float) -> tuple[int, int]:
        """Add votes of another arena with the same models and prompts, all or nothing.

        Args:
            votes: whose models and prompts are known here.
            now: moment at which raters who are not known are added; they get no secret.

        Returns:
            How many were added, and how many were there already.

        Raises:
            ConfigError: a prompt has no clip of a model here.
        """
        added = known = 0
        with self.database.writing() as run:
            clips = {
                (str(row["model"]), str(row["prompt"])): _integer(row["id"])
                for row in run.rows(
                    "SELECT MIN(c.id) AS id, m.name AS model, p.name AS prompt FROM clips c "
                    "JOIN models m ON m.id = c.model JOIN prompts p ON p.id = c.prompt GROUP BY m.name, p.name"
                )
            }
            for vote in votes:
                if self._kept(run, vote.ballot) is not None:
                    known += 1
                    continue
                sides = [clips.get((model, vote.prompt)) for model in (vote.left, vote.right)]
                if sides[0] is None or sides[1] is None:
                    model = vote.left if sides[0] is None else vote.right
                    raise ConfigError(
                        f"a vote must be about clips of this arena, got ballot {vote.ballot} with no clip of "
                        f"{model!r} for {vote.prompt!r}"
                    )
                issued, voted = (_moment(text, vote.ballot) for text in (vote.issued, vote.voted))
                rater = _rater_named(run, vote.rater, now)
                _add_ballot(run, Ballot(vote.ballot, rater, sides[0], sides[1], issued, voted))
                cast = Cast(
                    vote.answers,
                    *(vote.watched_left, vote.watched_right, vote.replays, vote.latency_s, voted, vote.app_version),
                    vote.marks,
                )
                added += run.run(_INSERT_VOTE, **_vote_row(vote.ballot, cast))
        return added, known

    @staticmethod
    def _kept(run: Transaction, ballot: str) -> dict[Criterion, Answer] | None:
        rows = run.rows(f"SELECT {', '.join(_CRITERIA)} FROM votes WHERE ballot = :ballot", ballot=ballot)
        return _answers(rows[0]) if rows else None


def _digest(secret: str) -> str:
    # 192 random bits cannot be guessed, so that a slow digest would protect nothing more.
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _rater_named(run: Transaction, name: str, now: float) -> int:
    run.run(
        "INSERT INTO raters (name, secret_hash, created) VALUES (:name, NULL, :now) ON CONFLICT (name) DO NOTHING",
        name=name,
        now=now,
    )
    return _integer(run.rows("SELECT id FROM raters WHERE name = :name", name=name)[0]["id"])


def _add_ballot(run: Transaction, ballot: Ballot) -> None:
    run.run(
        "INSERT INTO ballots (id, rater, left_clip, right_clip, issued, expires) "
        "VALUES (:id, :rater, :left_clip, :right_clip, :issued, :expires) ON CONFLICT (id) DO NOTHING",
        **vars(ballot),
    )


def _vote_row(ballot: str, cast: Cast) -> dict[str, Value]:
    return {
        "ballot": ballot,
        **{str(one): None if (given := cast.answers.get(one)) is None else str(given) for one in Criterion},
        "watched_left": cast.watched_left,
        "watched_right": cast.watched_right,
        "replays": cast.replays,
        "latency_s": cast.latency_s,
        "voted": cast.voted,
        "app_version": cast.app_version,
        "marks": ",".join(cast.marks),
    }


def _ballot(row: Mapping[str, Value]) -> Ballot:
    return Ballot(
        str(row["id"]),
        *(_integer(row[key]) for key in ("rater", "left_clip", "right_clip")),
        *(_number(row[key]) for key in ("issued", "expires")),
    )


def _answers(row: Mapping[str, Value]) -> dict[Criterion, Answer]:
    return {one: Answer(str(row[str(one)])) for one in Criterion if row[str(one)] is not None}


def _vote(row: Mapping[str, Value]) -> Vote:
    return Vote(
        ballot=str(row["ballot"]),
        rater=str(row["rater"]),
        prompt=str(row["prompt_name"]),
        category=str(row["category"]),
        left=str(row["left_model"]),
        right=str(row["right_model"]),
        answers=_answers(row),
        watched_left=bool(row["watched_left"]),
        watched_right=bool(row["watched_right"]),
        replays=_integer(row["replays"]),
        latency_s=_number(row["latency_s"]),
        issued=_text_of(_number(row["issued"])),
        voted=_text_of(_number(row["voted"])),
        app_version=str(row["app_version"]),
        marks=tuple(Mark(one) for one in str(row["marks"]).split(",") if one),
    )


def _text_of(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds")


def _moment(text: str, ballot: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"moments must be as in ISO 8601, got {text!r} of ballot {ballot}") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _integer(value: Value) -> int:
    return int(value or 0)


def _number(value: Value) -> float:
    return float(value or 0.0)
