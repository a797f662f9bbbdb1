"""Ids follow from what a source holds and how it is cut, and from nothing else."""

import uuid

from mova.curate.records import clip_id, source_id

CONTENTS = "ab" * 32


def test_ids_are_uuids_of_contents_and_parameters():
    assert uuid.UUID(source_id(CONTENTS)).version == 5
    one = clip_id(CONTENTS, "0/1", 193, "p")
    assert uuid.UUID(one).version == 5
    assert one == clip_id(CONTENTS, "0/1", 193, "p")
    others = [
        clip_id("cd" * 32, "0/1", 193, "p"),
        clip_id(CONTENTS, "1/1", 193, "p"),
        clip_id(CONTENTS, "0/1", 97, "p"),
        clip_id(CONTENTS, "0/1", 193, "q"),
    ]
    assert len({one, *others}) == 5
