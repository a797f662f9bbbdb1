"""The report of a run that was really done, with stages of milliseconds."""

import json
import re
import shutil
from dataclasses import replace

import pytest

from mova.curate.config.verdicts import Gate
from mova.curate.folder import OutputFolder
from mova.curate.report.data import Tally
from mova.curate.report.run import read_facts, write_report
from mova.curate.runner import run_all, run_verdicts
from mova.errors import DataError, StageError
from mova.pages.charts import Line
from mova.scorers.base import Direction, Measure
from shared_curation import toy_run, write_sources

MEASURES = [Measure(name, "", Direction.NEITHER, f"What {name} is.") for name in ("loudness", "silence_share")]
GATES = (
    Gate(score="silence_share", below=0.6),
    Gate(score="silence_share", above=0.05),
    Gate(any=(Gate(score="loudness", min=0.2), Gate(score="sharpness", max_quantile=0.5))),
    Gate(score="dover_technical", above=0.05),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    footage = write_sources(tmp_path_factory.mktemp("run") / "in", 6)
    (footage / "bad <b>.txt").write_text("corrupt")
    run_all(toy_run(footage, footage.parent / "out", gates=GATES))
    return footage.parent / "out"


@pytest.fixture
def run(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "out")
    return toy_run(finished.parent / "in", tmp_path / "out")


def test_the_report_of_a_run_adds_up_and_names_what_failed(run):
    page = write_report(run.root, MEASURES).read_text(encoding="utf-8")
    summary = json.loads((run.root / "summary.json").read_text())["stages"]
    for name, heading in (("cut", "Stage 1: cut"), ("verdicts", "Stage 2: verdicts"), ("caption", "Stage 3: caption")):
        numbers = re.search(rf">{heading}</th>(.*?)</tr>", page)[1]
        found = [int(number) for number in re.findall(r">(\d+)</td>", numbers)]
        assert found == [summary[name][key] for key in ("in", "kept", "rejected", "failed")]
    assert "bad &lt;b&gt;.txt" in page
    assert "corrupt_media" in page
    assert "Gates that did not apply" in page
    for path in re.findall(r'<video src="\./([^"]+)"', page):
        assert (run.root / path).is_file()


def test_facts_are_those_of_the_run(run):
    facts = read_facts(run.root, MEASURES)
    assert [gate.name for gate in facts.gates] == ["silence_share", "loudness or sharpness", "dover_technical"]
    silence, either, _ = facts.gates
    assert silence.text == "silence_share < 0.6; silence_share > 0.05"
    assert silence.lines == {"silence_share": (Line(0.6, False, "< 0.6"), Line(0.05, True, "> 0.05"))}
    assert set(either.lines) == {"loudness", "sharpness"}
    assert isinstance(facts.tallies["cut"], Tally)
    assert facts.versions["mova"]
    assert facts.frame_rate == 24.0


def test_durations_are_those_of_the_rate_of_the_clips(run):
    run_verdicts(replace(run, frame_rate=12.0))
    assert read_facts(run.root, MEASURES).frame_rate == 12.0


def test_after_other_verdicts_the_report_says_so(run):
    write_report(run.root, MEASURES)
    run_verdicts(replace(run, gates=()))
    page = write_report(run.root, MEASURES).read_text(encoding="utf-8")
    assert "have no captions yet" in page
    assert "Gates in their order" not in page


def test_tables_that_do_not_fit_the_summary_are_an_error(run):
    path = run.root / "summary.json"
    summary = json.loads(path.read_text())
    summary["stages"]["cut"]["kept"] += 1
    summary["stages"]["cut"]["in"] += 1
    path.write_text(json.dumps(summary))
    with pytest.raises(StageError, match="the summary of cut says"):
        write_report(run.root, MEASURES)
    assert not (run.root / "report.html").exists()


def test_a_folder_without_a_run_is_told_of(tmp_path):
    with pytest.raises(DataError, match="must exist, and does not"):
        write_report(tmp_path, MEASURES)
    assert OutputFolder(tmp_path).clips.name == "clips.parquet"
