"""The list of scorers with their state."""

from mova.evaluate.scorer_list import list_scorers
from mova.scorers.registry import SCORER_NAMES


def test_every_scorer_is_listed_with_what_is_missing_and_where_it_belongs(tmp_path):
    listed = {one.name: one for one in list_scorers(str(tmp_path))}
    assert tuple(listed) == SCORER_NAMES
    assert listed["levels"].state == "ready"
    assert listed["levels"].missing == ()
    faces = listed["faces"]
    assert faces.state == "skipped: weights"
    assert faces.missing
    assert all(str(tmp_path) in line and "licence: " in line and "SHA-256 " in line for line in faces.missing)
    assert all(one.measures or one.name == "hashes" for one in listed.values())
