"""The section `export`."""

import pytest
from pydantic import ValidationError

from mova.curate.config.export import ExportSection


def test_by_default_the_list_and_shards_are_written_and_nothing_is_encoded():
    section = ExportSection()
    assert section.metadata
    assert section.shards
    assert section.latents is None


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"shard_mb": 0}, "greater than or equal to 0.1"),
        ({"shard": True}, "Extra inputs"),
        ({"shards": False, "latents": {"model": "mova-tiny"}}, "latents are encoded from shards"),
        ({"latents": {"model": "mova-tiny", "sizes": ["640x350"]}}, "multiple of 16; nearest are 336 and 352"),
        ({"latents": {"model": "mova-tiny", "num_frames": 50}}, "nearest are 49 and 53"),
        ({"latents": {}}, "Field required"),
    ],
)
def test_what_cannot_be_written_is_refused(changes, text):
    with pytest.raises(ValidationError, match=text):
        ExportSection(**changes)


def test_every_field_says_what_it_is():
    fields = ExportSection.model_fields | {}
    assert all(field.description for field in fields.values())
