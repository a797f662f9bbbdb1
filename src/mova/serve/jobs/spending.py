"""Seconds of video that each key has asked for. They stay when its clips are deleted, and over restarts."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from mova.database.database import Database


class Spending:
    """What was asked for in a span of time.

    Args:
        database: with the tables of `rows.TABLES`.
        clock: gives seconds since 1970.
        span_s: for how long it counts.
    """

    def __init__(self, database: Database, clock: Callable[[], float], span_s: float) -> None:
        self._database, self._clock, self._span_s = database, clock, span_s

    def spend(self, owner: str, seconds: float, most: float) -> tuple[str, float]:
        """Note seconds of an owner, where they are not more than are left.

        Args:
            owner: id of the key.
            seconds: that are asked for.
            most: in a span.

        Returns:
            A name under which they can be refunded, "" where they were too many; and what was left before.
        """
        with self._database.writing() as run:
            # The row that whoever adds jobs takes too: PostgreSQL lets several write at a time.
            run.run("UPDATE facts SET value = value WHERE name = 'adding'")
            now = self._clock()
            run.run("DELETE FROM spent WHERE at_s <= :since", since=now - self._span_s)
            rows = run.rows("SELECT SUM(seconds) AS total FROM spent WHERE owner = :owner", owner=owner)
            left = max(0.0, most - float(rows[0]["total"] or 0.0))
            if seconds > left:
                return "", left
            name = secrets.token_hex(16)
            run.run(
                "INSERT INTO spent (name, owner, at_s, seconds) VALUES (:name, :owner, :now, :seconds)",
                name=name,
                owner=owner,
                now=now,
                seconds=seconds,
            )
        return name, left

    def refund(self, name: str) -> None:
        """Take back what was noted for a request that came to nothing."""
        with self._database.writing() as run:
            run.run("DELETE FROM spent WHERE name = :name", name=name)
