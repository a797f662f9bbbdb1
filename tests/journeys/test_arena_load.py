"""Fifty people vote at once while the server is killed: no vote that was acknowledged is lost or doubled."""

import pytest

from arena_load import vote_through_kills


def test_a_server_that_is_killed_loses_and_doubles_nothing(tmp_path):
    voted = vote_through_kills(tmp_path, num_voters=6, num_votes=60, num_kills=2)
    assert voted.num_kept == 60
    assert 0 < len(voted.calls_s) <= 70


@pytest.mark.services
def test_the_same_on_postgresql(tmp_path, postgres):
    vote_through_kills(tmp_path, num_voters=6, num_votes=60, num_kills=2, url=postgres("killed"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_fifty_voters_ten_thousand_votes_twenty_kills(tmp_path, request, kind):
    url = "" if kind == "sqlite" else request.getfixturevalue("postgres")("many")
    vote_through_kills(tmp_path, num_voters=50, num_votes=10_000, num_kills=20, url=url)
