"""A unit is named by its source and its clips; what a stage needs has a usual value."""

from mova.curate.records import SourceRecord
from mova.curate.stage import StageNeeds, Unit


def test_a_unit_of_stage_1_has_a_source_and_no_clips():
    source = SourceRecord("id", "a.mp4", "ab" * 32, 10)
    assert Unit("id", source).clips == ()
    assert StageNeeds().gpus == 0
