"""Ratings, win rates and duels as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mova.evaluate.arena.ratings.summary import ArenaSummary, CriterionSummary
from mova.evaluate.stats import Estimate


def summary_markdown(summary: ArenaSummary, criteria: Sequence[CriterionSummary] | None = None) -> str:
    """Return what an arena says as Markdown.

    Args:
        summary: all of it.
        criteria: the sections that are wanted; None takes all.
    """
    lines = [*facts_lines(summary), ""]
    for one in summary.criteria if criteria is None else criteria:
        lines += [f"## {one.criterion.replace('_', ' ').capitalize()}", "", *_section(one), ""]
    return "\n".join(lines).rstrip() + "\n"


def facts_lines(summary: ArenaSummary) -> list[str]:
    """Return one sentence for each fact about the votes."""
    marked = ", ".join(f"{name} {count}" for name, count in summary.marked.items())
    held = "counted" if summary.counts_marked else "not counted"
    lines = [
        f"- {summary.num_counted} of {summary.num_votes} votes count"
        + (f"; {held} because of their marks: {marked}" if marked else "")
        + f"; from {summary.num_raters} raters on {summary.num_prompts} prompts.",
    ]
    if summary.median_latency_s is not None and summary.watched_share is not None:
        lines.append(
            f"- Half of them came within {summary.median_latency_s:.0f} s; "
            f"{100 * summary.watched_share:.1f} % after both clips were watched to their ends."
        )
    lines.append(
        f"- Bradley-Terry ratings have a mean of 1000; a tie, or both bad, is half a win. Intervals are of 95 %, with "
        f"votes of one {summary.cluster} taken as alike. Elo (start 1000, K 4, scale 400) depends on their order."
    )
    return lines


def position_words(share: Estimate) -> str:
    """Return in words whether the side that a clip was shown on mattered."""
    if share.value is None or share.low is None or share.high is None:
        return "no vote was won by one clip, so that nothing can be said about sides"
    told = f"the left clip won {_percent(share)} of the votes that one clip won"
    if share.low <= 0.5 <= share.high:
        return f"{told}: no sign that the side mattered"
    return f"{told}: raters prefer the {'left' if share.value > 0.5 else 'right'} side; sides are drawn by chance"


def _section(one: CriterionSummary) -> Iterator[str]:
    yield "| rank | model | Bradley-Terry | 95 % | Elo | 95 % (bootstrap) | win rate | votes |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for place in ranked(one):
        rating, elo = one.ratings[place], one.elo[place]
        yield (
            f"| {rating.rank or '-'} | {_cell(rating.model)} | {_points(rating.value, rating.reason)} | "
            f"{_range(rating.low, rating.high)} | {_points(elo.value, 'no votes')} | {_range(elo.low, elo.high)} | "
            f"{_percent(one.win_rates[place])} | {rating.num_votes} |"
        )
    if any(rating.reason for rating in one.ratings if rating.value is not None):
        yield ""
        yield next(rating.reason for rating in one.ratings if rating.value is not None).capitalize() + "."
    yield ""
    if one.duels:
        yield "| model | against | wins | ties | losses | of ties both bad | win rate |"
        yield "| --- | --- | --- | --- | --- | --- | --- |"
        for duel in one.duels:
            parts = " | ".join(
                f"{number} ({100 * number / duel.total:.1f} %)" for number in (duel.wins, duel.ties, duel.losses)
            )
            yield (
                f"| {_cell(duel.model)} | {_cell(duel.opponent)} | {parts} | {duel.both_bad} | "
                f"{_percent(duel.win_rate)} |"
            )
        yield ""
    yield f"Sides: {position_words(one.left_share)}."


def ranked(one: CriterionSummary) -> list[int]:
    """Return the numbers of models, the best rated first, those without a rating last."""

    def key(place: int) -> tuple[float, str]:
        value = one.ratings[place].value
        return (float("inf") if value is None else -value, one.ratings[place].model)

    return sorted(range(len(one.ratings)), key=key)


def _points(value: float | None, reason: str) -> str:
    return reason if value is None else f"{value:.1f}"


def _range(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{low:.1f} to {high:.1f}"


def _percent(share: Estimate) -> str:
    if share.value is None or share.low is None or share.high is None:
        return "-"
    return f"{100 * share.value:.1f} % ({100 * share.low:.1f} to {100 * share.high:.1f})"


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|")
