"""Section `source`: what it refuses."""

import pytest
from pydantic import ValidationError

from mova.curate.config.source import SourceSection


def test_a_folder_or_a_list_is_enough():
    assert SourceSection(folder="films").list_file is None
    assert SourceSection(list_file="s3://bucket/list.parquet", licence="CC0").licence == "CC0"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "either"),
        ({"folder": "a", "list_file": "b"}, "either"),
        ({"folder": "a", "endings": ["mp4"]}, "endings"),
        ({"folder": "a", "folders": "b"}, "folders"),
        ({"folder": "a", "most_gib": 0}, "most_gib"),
    ],
)
def test_what_cannot_be_meant_is_refused(given, text):
    with pytest.raises(ValidationError, match=text):
        SourceSection(**given)
