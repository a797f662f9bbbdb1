"""What the script may not contain; what it does is tried in a browser: tests/journeys/test_report_in_browser.py."""

import pytest

from mova.pages.scripts import PAGE_SCRIPT


@pytest.mark.parametrize(
    "word", ["innerHTML", "eval", "fetch", "XMLHttp", "import", "document.write", "setTimeout", "http"]
)
def test_the_script_makes_no_markup_and_asks_nobody(word):
    assert word not in PAGE_SCRIPT
