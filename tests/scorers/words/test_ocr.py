"""Text in frames is read."""

from drawn_text import drawn
from mova.scorers.words.ocr import read_lines


def test_lines_are_read_from_top_to_bottom():
    assert [line.upper() for line in read_lines(drawn("GRAND", "OPENING"))] == ["GRAND", "OPENING"]
    assert read_lines(drawn()) == ()
