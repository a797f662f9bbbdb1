"""Everything that votes say, for each criterion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from mova.errors import ConfigError
from mova.evaluate.arena.ratings.bradley_terry import Rating, bradley_terry
from mova.evaluate.arena.ratings.elo import NUM_BOOTSTRAPS, EloRating, elo_ratings
from mova.evaluate.arena.ratings.outcomes import Cluster, Outcomes, collect
from mova.evaluate.arena.ratings.shares import Duel, duels, left_share, win_rates
from mova.evaluate.arena.records import Criterion, Vote
from mova.evaluate.stats import Estimate


@dataclass(frozen=True)
class CriterionSummary:
    """What votes say on one criterion.

    Attributes:
        criterion: which.
        num_votes: that answer it.
        num_clusters: prompts or raters that they come from.
        ratings: Bradley-Terry, by model.
        elo: by model.
        win_rates: by model.
        duels: between each two.
        left_share: of votes that one clip won, how many the left one did.
    """

    criterion: Criterion
    num_votes: int
    num_clusters: int
    ratings: tuple[Rating, ...]
    elo: tuple[EloRating, ...]
    win_rates: tuple[Estimate, ...]
    duels: tuple[Duel, ...]
    left_share: Estimate


@dataclass(frozen=True)
class ArenaSummary:
    """What an arena says.

    Attributes:
        title: of the arena.
        models: names.
        num_votes: all of them.
        num_counted: those that count.
        marked: how many bear each mark; they are counted only where that is asked for.
        counts_marked: whether it is.
        num_raters, num_prompts: in the votes that count.
        median_latency_s: of these votes.
        watched_share: of these votes, those with both clips watched to their ends.
        cluster: what intervals draw as a whole.
        criteria: those with votes.
    """

    title: str
    models: tuple[str, ...]
    num_votes: int
    num_counted: int
    marked: Mapping[str, int]
    counts_marked: bool
    num_raters: int
    num_prompts: int
    median_latency_s: float | None
    watched_share: float | None
    cluster: Cluster
    criteria: tuple[CriterionSummary, ...]

    def to_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        return asdict(self)


def summarise(
    votes: Sequence[Vote],
    models: Sequence[str],
    *,
    title: str = "",
    cluster: Cluster = Cluster.PROMPT,
    counts_marked: bool = False,
    num_bootstraps: int = NUM_BOOTSTRAPS,
) -> ArenaSummary:
    """Return what votes say.

    Args:
        votes: all of them, in any order.
        models: of the arena.
        title: of the arena.
        cluster: what intervals draw as a whole.
        counts_marked: whether votes that bear a mark count.
        num_bootstraps: of Elo.

    Raises:
        ConfigError: a vote names another model.
        MissingExtraError: evalica is not installed.
    """
    strange = {name for vote in votes for name in (vote.left, vote.right)} - set(models)
    if strange:
        raise ConfigError(f"votes must be about {', '.join(models)}; got one about {min(strange)!r}")
    counted = [vote for vote in votes if counts_marked or not vote.marks]
    return ArenaSummary(
        title,
        tuple(models),
        len(votes),
        len(counted),
        dict(sorted(Counter(str(mark) for vote in votes for mark in vote.marks).items())),
        counts_marked,
        len({vote.rater for vote in counted}),
        len({vote.prompt for vote in counted}),
        float(np.median([vote.latency_s for vote in counted])) if counted else None,
        sum(vote.watched_left and vote.watched_right for vote in counted) / len(counted) if counted else None,
        cluster,
        tuple(
            _of_criterion(one, outcomes, num_bootstraps)
            for one in Criterion
            if (outcomes := collect(counted, one, models, cluster)).size or one is Criterion.OVERALL
        ),
    )


def _of_criterion(criterion: Criterion, outcomes: Outcomes, num_bootstraps: int) -> CriterionSummary:
    return CriterionSummary(
        criterion,
        outcomes.size,
        outcomes.num_clusters,
        bradley_terry(outcomes),
        elo_ratings(outcomes, num_bootstraps),
        win_rates(outcomes),
        duels(outcomes),
        left_share(outcomes),
    )
