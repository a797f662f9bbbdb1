"""The script of the page; what it does is tested in a browser, `tests/journeys/test_arena_in_browser.py`."""

import re

from mova.evaluate.arena.records import Watch
from mova.evaluate.arena.server.page import voting_page
from mova.evaluate.arena.server.script import VOTING_SCRIPT


def test_it_asks_only_for_what_is_there():
    ids = set(re.findall(r'(?<![.\w])get\("([\w-]+)"\)', VOTING_SCRIPT))
    page = voting_page("", Watch.REQUIRED)
    assert [one for one in ids if f'id="{one}"' not in page] == []
    assert re.findall(r'call\("([^"]+)"', VOTING_SCRIPT) == ["/api/ballot", "/api/vote", "/api/skip", "/api/session"]


def test_it_writes_texts_and_never_markup():
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|localStorage", VOTING_SCRIPT)
