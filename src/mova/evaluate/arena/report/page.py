"""The report of an arena as a page."""

from __future__ import annotations

from mova.evaluate.arena.ratings.bradley_terry import Rating
from mova.evaluate.arena.ratings.shares import Duel
from mova.evaluate.arena.ratings.summary import ArenaSummary, CriterionSummary
from mova.evaluate.arena.report.markdown import facts_lines, position_words, ranked
from mova.evaluate.stats import Estimate
from mova.pages.charts import Segment, stacked_bar
from mova.pages.document import document
from mova.pages.formats import count_text, duration_text, percent_text
from mova.pages.html import Content, Html, element, joined, stranger
from mova.pages.intervals import Interval, interval_chart
from mova.pages.parts import Tone, note, tile
from mova.pages.tables import Cell, Column, table


def arena_page(summary: ArenaSummary) -> str:
    """Return the page; it needs nothing beside it."""
    lead = f"{count_text(summary.num_counted)} votes on {count_text(len(summary.models))} models."
    sections: list[tuple[str, str, Content]] = [
        (str(one.criterion), str(one.criterion).capitalize(), _section(one)) for one in summary.criteria
    ]
    how = element("ul", (element("li", line.removeprefix("- ")) for line in facts_lines(summary)))
    return document(summary.title or "Report of an arena", lead, [*sections, ("how", "How", how)], top=_tiles(summary))


def _tiles(summary: ArenaSummary) -> Html:
    left_out = summary.num_votes - summary.num_counted
    latency = "–" if summary.median_latency_s is None else duration_text(summary.median_latency_s)
    return element(
        "div",
        tile(count_text(summary.num_counted), "Votes", f"{count_text(left_out)} more do not count"),
        tile(count_text(summary.num_raters), "Raters"),
        tile(count_text(summary.num_prompts), "Prompts"),
        tile(latency, "Median time to vote"),
        tile(percent_text(summary.watched_share), "Both watched to the end"),
        class_="tiles",
    )


def _section(one: CriterionSummary) -> Html:
    order = ranked(one)
    rated = [one.ratings[place] for place in order]
    rows = [
        Interval(rating.model, rating.value, rating.low, rating.high) for rating in rated if rating.value is not None
    ]
    missing = [note(f"{rating.model}: {rating.reason}.", tone=Tone.WARNING) for rating in rated if rating.reason]
    return joined(
        element("p", f"{count_text(one.num_votes)} votes. {_sentence(position_words(one.left_share))}", class_="soft"),
        interval_chart("Bradley-Terry ratings with 95 % intervals", rows) if rows else None,
        missing,
        _ratings(one, order),
        _duels(one),
    )


def _ratings(one: CriterionSummary, order: list[int]) -> Html:
    headings = ("Rank", "Bradley-Terry", "95 %", "Elo", "Elo, 95 %", "Win rate", "Votes")
    return table(
        f"Ratings: {one.criterion}",
        ["Model", *(Column(name, is_number=True) for name in headings)],
        [
            (
                stranger(one.ratings[place].model),
                *_rating_cells(one.ratings[place]),
                _points(one.elo[place].value),
                _range(one.elo[place].low, one.elo[place].high),
                _share(one.win_rates[place]),
                count_text(one.ratings[place].num_votes),
            )
            for place in order
        ],
        sortable=True,
    )


def _rating_cells(rating: Rating) -> tuple[Content | Cell, ...]:
    return (
        "–" if rating.rank is None else rating.rank,
        _points(rating.value),
        _range(rating.low, rating.high),
    )


def _duels(one: CriterionSummary) -> Html | None:
    if not one.duels:
        return None
    return table(
        f"Wins, ties and losses: {one.criterion}",
        [
            "Model",
            "Against",
            "Wins, ties, losses",
            Column("Both bad", is_number=True),
            Column("Win rate", is_number=True),
        ],
        [
            (
                stranger(duel.model),
                stranger(duel.opponent),
                stacked_bar(_segments(duel)),
                count_text(duel.both_bad),
                _share(duel.win_rate),
            )
            for duel in one.duels
        ],
        sortable=True,
    )


def _segments(duel: Duel) -> list[Segment]:
    return [
        Segment("wins", duel.wins, Tone.GOOD),
        Segment("ties", duel.ties, Tone.PLAIN),
        Segment("losses", duel.losses, Tone.BAD),
    ]


def _share(share: Estimate) -> Cell:
    if share.value is None or share.low is None or share.high is None:
        return Cell("–", None)
    return Cell(f"{100 * share.value:.1f} % ({100 * share.low:.1f} to {100 * share.high:.1f})", share.value)


def _points(value: float | None) -> Cell:
    return Cell("–" if value is None else f"{value:.1f}", value)


def _range(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"{low:.1f} to {high:.1f}"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."
