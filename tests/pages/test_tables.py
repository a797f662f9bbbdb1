"""Tables."""

import pytest

from mova.pages.tables import Cell, Column, table


def test_a_table_has_a_caption_headings_and_row_names():
    made = table("Counts <1>", ["Stage", Column("In", is_number=True)], [["cut", "1,000"]]).markup
    assert 'role="region"' in made
    assert 'tabindex="0"' in made, "a region that scrolls is reached by the keyboard"
    assert "<caption><span>Counts &lt;1&gt;</span></caption>" in made
    assert '<th scope="col" class="number">In</th>' in made
    assert '<th scope="row">cut</th><td class="number">1,000</td>' in made
    assert "data-sortable" not in made


def test_a_sortable_table_says_by_what():
    made = table("T", ["A", "B"], [["x", Cell("1,000 s", 1000)], ["y", Cell("none", None)]], sortable=True).markup
    assert "<table data-sortable>" in made
    assert '<td data-sort="1000">1,000 s</td>' in made
    assert "<td>none</td>" in made


def test_a_row_of_another_length_is_a_mistake():
    with pytest.raises(ValueError, match="zip"):
        table("T", ["A", "B"], [["x"]])
