"""A run does what is missing and nothing else, and its tables say what became of everything."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from mova.curate.config.verdicts import Gate
from mova.curate.runner import run_all, run_verdicts
from mova.curate.source_table import iter_sources
from mova.curate.tables import iter_clips, read_columns
from mova.errors import ConfigError, DataError
from shared_curation import ToyScore, toy_run, write_sources

GATES = (Gate(score="silence_share", below=0.8), Gate(score="dover_technical", above=0.05))


def rows(folder):
    return list(iter_clips(folder / "clips.parquet"))


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    folder = write_sources(tmp_path_factory.mktemp("footage"), 6)
    for word in ("corrupt", "gone", "unwanted", "strange", "memory"):
        (folder / f"x_{word}.txt").write_text(f"{word} x")
    (folder / "z_copy.txt").write_bytes((folder / "source001.txt").read_bytes())
    (folder / "z_long.txt").write_text("70 long")
    return folder


@pytest.fixture(scope="module")
def finished(footage, tmp_path_factory):
    output = tmp_path_factory.mktemp("out")
    told = []
    table = run_all(toy_run(footage, output, gates=GATES, on_progress=told.append))
    return table.parent, told


def test_every_clip_and_every_source_has_one_row_with_what_became_of_it(finished):
    folder, _ = finished
    sources = {source.uri.rpartition("/")[2]: source for source in iter_sources(folder / "sources.parquet")}
    assert sources["x_corrupt.txt"].reasons == ("corrupt_media: no frame can be decoded",)
    assert sources["x_gone.txt"].reasons == ("storage: the bucket does not answer",)
    assert sources["x_strange.txt"].reasons == ("bug: RuntimeError: nobody thought of this",)
    assert sources["x_memory.txt"].reasons[0].startswith("memory: ")
    assert sources["x_unwanted.txt"].state == "rejected"
    assert sources["z_copy.txt"].reasons[0].startswith("duplicate_source: ")
    clips = rows(folder)
    assert len({clip.clip_id for clip in clips}) == len(clips) == 4 + 5 + 6 + 4 + 5 + 6 + 70
    assert [(clip.uri, clip.start_s) for clip in clips] == sorted((clip.uri, clip.start_s) for clip in clips)
    assert Counter(str(clip.state) for clip in clips).keys() == {"kept", "rejected", "failed"}
    for clip in clips:
        assert bool(clip.reasons) == (clip.state != "kept")
        assert bool(clip.captions) == (clip.state == "kept")
        assert (folder / clip.path).is_file() or clip.state == "failed"


def test_counts_add_up_at_every_stage(finished):
    folder, _ = finished
    stages = json.loads((folder / "summary.json").read_text())["stages"]
    for counts in stages.values():
        assert counts["in"] == counts["kept"] + counts["rejected"] + counts["failed"]
    assert [stages[name]["in"] for name in ("score", "verdicts", "caption")] == [
        stages[name]["kept"] for name in ("cut", "score", "verdicts")
    ]
    assert stages["sources"]["in"] == 13


def test_a_gate_on_weights_that_are_not_there_is_not_applied_and_named(finished):
    folder, _ = finished
    table = read_columns(folder / "clips.parquet", ("stage", "gates_not_applied"))
    for stage, gates in zip(table["stage"], table["gates_not_applied"], strict=True):
        assert gates == ([] if stage == "cut" else ["dover_technical"])


def test_a_plain_query_reads_the_table(finished):
    import duckdb

    folder, _ = finished
    found = duckdb.sql(
        f"SELECT avg(loudness), any_value(captions.merged.text) FROM '{folder / 'clips.parquet'}' WHERE state='kept'"
    )
    ((mean, text),) = found.fetchall()
    assert 0.3 < mean < 0.7
    assert text.startswith("merged of ")


def test_progress_ends_where_the_work_does(finished):
    _, told = finished
    assert {progress.stage for progress in told} == {"cut", "score", "caption"}
    for stage in ("cut", "score", "caption"):
        last = [progress for progress in told if progress.stage == stage][-1]
        assert last.done == last.total


def test_a_second_run_does_nothing_and_gives_the_same_rows(finished, footage):
    folder, _ = finished
    before = rows(folder)
    asked = (folder / "asked.txt").read_text()
    done = []
    run_all(toy_run(footage, folder, gates=GATES, on_progress=lambda progress: done.append(progress.clips)))
    assert rows(folder) == before
    assert (folder / "asked.txt").read_text() == asked
    assert set(done) == {0}


def test_other_thresholds_need_no_media_and_ask_only_for_captions_that_are_missing(footage, tmp_path):
    strict, loose = ((Gate(score="silence_share", below=bound),) for bound in (0.3, 0.9))
    run_all(toy_run(footage, tmp_path, gates=strict))
    asked = (tmp_path / "asked.txt").read_text().split()
    for clip in (tmp_path / "clips").rglob("*.mp4"):
        clip.unlink()
    run_verdicts(toy_run(footage, tmp_path, gates=loose, score=ToyScore()))
    kept = [clip for clip in rows(tmp_path) if clip.state == "kept"]
    assert sum(bool(clip.captions) for clip in kept) <= len(asked) < len(kept)
    run_all(toy_run(footage, tmp_path, gates=loose))
    now = (tmp_path / "asked.txt").read_text().split()
    failed = {clip.clip_id for clip in rows(tmp_path) if clip.reasons == ("timeout: no reply",)}
    # What had failed in a unit that is done again is asked for again, and nothing else.
    assert set(Counter(now) - Counter(set(now))) <= failed
    run_verdicts(toy_run(footage, tmp_path, gates=strict))
    assert {clip.clip_id for clip in rows(tmp_path) if clip.captions} <= set(asked)


def test_verdicts_need_scored_clips(footage, tmp_path):
    with pytest.raises(DataError, match="must hold scored clips, and has none yet"):
        run_verdicts(toy_run(footage, tmp_path))


def test_another_recipe_is_refused_with_what_differs(finished, footage):
    folder, _ = finished
    other = {"source": {"path": str(footage)}, "cut": {"frames": 97}, "verdicts": {"preset": "none"}}
    with pytest.raises(ConfigError, match=r"begun with another recipe; cut.frames is 97 and was 193\."):
        run_all(toy_run(footage, folder, recipe=other))


def test_no_source_is_an_error(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="at least one source"):
        run_all(toy_run(tmp_path / "empty", tmp_path / "out"))


def test_everything_rejected_still_gives_a_table(tmp_path):
    footage = tmp_path / "in"
    footage.mkdir()
    (footage / "a.txt").write_text("unwanted a")
    run_all(toy_run(footage, tmp_path / "out", gates=GATES))
    assert rows(tmp_path / "out") == []
    gates = (Gate(score="silence_share", below=0.0),)
    (footage / "b.txt").write_text("3 b")
    run_all(toy_run(footage, tmp_path / "out", gates=gates))
    assert [clip.state for clip in rows(tmp_path / "out")] == ["rejected"] * 3


def test_a_mistake_in_the_sources_does_not_bind_a_folder_to_its_recipe(footage, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="at least one source"):
        run_all(replace(toy_run(tmp_path / "empty", tmp_path / "out"), recipe={"source": "wrong"}))
    assert not list((tmp_path / "out").glob("*.parquet"))
    assert run_all(replace(toy_run(footage, tmp_path / "out"), recipe={"source": "right"})).is_file()


def test_verdicts_make_no_folder(footage, tmp_path):
    with pytest.raises(DataError, match="must hold scored clips"):
        run_verdicts(toy_run(footage, tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_of_something_else_stays_as_it_is(footage, tmp_path):
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "mine").write_text("mine")
    (tmp_path / "recipe.json").write_text('{"flour": "500 g"}')
    with pytest.raises(ConfigError, match="recipe"):
        run_all(toy_run(footage, tmp_path))
    (tmp_path / "recipe.json").unlink()
    (tmp_path / ".lock").unlink()
    with pytest.raises(ConfigError, match="must be a new folder, an empty one, or that of an earlier run"):
        run_all(toy_run(footage, tmp_path))
    assert [path.name for path in tmp_path.rglob("*")] == ["tmp", "mine"]
