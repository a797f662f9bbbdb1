"""Tables that a reader can sort, and that stay inside of a narrow screen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mova.pages.html import Content, Html, element


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        heading: its name.
        is_number: numbers stand at the right, and are sorted as numbers.
    """

    heading: str
    is_number: bool = False


@dataclass(frozen=True)
class Cell:
    """A cell that is sorted by something else than by what it shows.

    Attributes:
        content: what is seen.
        sort: what it is sorted by; None comes last.
    """

    content: Content
    sort: float | str | None


def table(
    caption: str,
    columns: Sequence[Column | str],
    rows: Iterable[Sequence[Content | Cell]],
    *,
    sortable: bool = False,
) -> Html:
    """Return a table whose first column names the rows.

    A wide one scrolls by itself, with the keyboard too. The page's script adds the buttons that sort.

    Args:
        caption: what it shows; also its name for screen readers.
        columns: headings.
        rows: cells of each row, as many as columns.
        sortable: whether rows may change their places.
    """
    heads = [column if isinstance(column, Column) else Column(column) for column in columns]
    head = element("tr", (element("th", one.heading, scope="col", class_=_class(one)) for one in heads))
    body = (element("tr", _cells(row, heads)) for row in rows)
    held = element(
        "table",
        element("caption", element("span", caption)),
        element("thead", head),
        element("tbody", body),
        data_sortable=sortable,
    )
    return element("div", held, class_="scroll", tabindex=0, role="region", aria_label=caption)


def _cells(row: Sequence[Content | Cell], heads: Sequence[Column]) -> Iterable[Html]:
    for place, (given, head) in enumerate(zip(row, heads, strict=True)):
        cell = given if isinstance(given, Cell) else Cell(given, None)
        sort = cell.sort if isinstance(given, Cell) else None
        name = "th" if place == 0 else "td"
        yield element(name, cell.content, scope="row" if place == 0 else None, class_=_class(head), data_sort=sort)


def _class(column: Column) -> str | None:
    return "number" if column.is_number else None
