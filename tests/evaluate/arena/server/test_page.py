"""The page: the same for everybody, and it names no model."""

import re

from mova.evaluate.arena.records import Answer, Criterion, Watch
from mova.evaluate.arena.server.page import CRITERION_TEXTS, VOTING_POLICY, voting_page


def test_every_criterion_has_four_answers():
    page = voting_page("Balls <b>", Watch.REQUIRED)
    assert re.findall(r'data-criterion="(\w+)"', page) == [str(one) for one in Criterion]
    assert re.findall(r'data-answer="(\w+)"', page) == [str(one) for one in Answer] * 5
    assert set(CRITERION_TEXTS) == set(Criterion)
    assert "Balls &lt;b&gt;" in page
    assert 'data-watch="required"' in page
    assert 'data-watch="recorded"' in voting_page("", Watch.RECORDED)


def test_its_policy_lets_nothing_in():
    assert "default-src 'none'" in VOTING_POLICY
    assert "unsafe" not in VOTING_POLICY
    assert "http" not in re.sub(r"data-\S+", "", voting_page("", Watch.REQUIRED)).replace("http-equiv", "")
