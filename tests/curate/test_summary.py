"""Counts of a stage are what the next one begins with, and gates say what they did."""

import json

from mova.curate.config.verdicts import Gate
from mova.curate.runner import run_all
from mova.curate.source_table import iter_sources
from mova.curate.tables import iter_clips
from shared_curation import toy_run, write_sources


def test_counts_are_those_of_the_rows(tmp_path):
    footage = write_sources(tmp_path / "in", 7)
    gates = (Gate(score="silence_share", below=0.6), Gate(score="dover_technical", above=0.05))
    table = run_all(toy_run(footage, tmp_path / "out", gates=gates))
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    clips = list(iter_clips(table))
    stages = summary["stages"]
    assert stages["cut"]["in"] == len(clips)
    assert stages["caption"]["kept"] == sum(clip.state == "kept" for clip in clips)
    assert sum(counts["rejected"] + counts["failed"] for name, counts in stages.items() if name != "sources") == sum(
        clip.state != "kept" for clip in clips
    )
    assert stages["cut"]["duration_in_s"] == len(clips) * 193 / 24
    sources = list(iter_sources(tmp_path / "out" / "sources.parquet"))
    assert stages["sources"]["duration_in_s"] == sum(source.duration_s for source in sources)
    silence, dover = summary["gates"]
    assert silence["rejected"] == stages["verdicts"]["rejected"]
    assert silence["thresholds"] == {"below": 0.6}
    assert (dover["rejected"], dover["not_applied"]) == (0, stages["verdicts"]["in"])
