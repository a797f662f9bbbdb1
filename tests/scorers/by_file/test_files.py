"""The files in the folder are those that the scorers were made for."""

from mova.scorers.by_file import files
from mova.scorers.registry import ScorerSettings, make_scorers

NAMES = ["audio_tags", "voice", "faces", "nsfw"]


def test_every_file_has_the_digest_that_stands_here(weights):
    found = make_scorers(NAMES, ScorerSettings(weights=weights)).weights_sha256
    assert set(found) == {file.name for file in make_scorers(NAMES).weights}


def test_every_file_says_where_it_is_from():
    assert files.MTCNN[0].source == "package facenet-pytorch 2.6.0"
    assert all(file.licence for file in make_scorers(NAMES).weights)
