"""Measuring: nothing is found twice, and nothing that was found is lost."""

import json

import pytest

from evaluated_clips import plan_of, write_clips
from mova.errors import ConfigError
from mova.evaluate.clips.item import ClipItem
from mova.evaluate.measure.plan import MeasurePlan
from mova.evaluate.measure.runner import measure
from mova.evaluate.measure.store import SCORES_FILE, ScoreStore
from mova.scorers.published.dover import DOVER
from mova.scorers.registry import ScorerSettings


def keys_in(folder):
    return [json.loads(line)["key"] for line in (folder / SCORES_FILE).read_bytes().splitlines()]


def run(items, plan, folder, **options):
    with ScoreStore(folder) as store:
        return measure(items, plan, store, **options)


def test_an_interrupted_run_goes_on_and_finds_nothing_twice(tmp_path):
    items, plan = write_clips(tmp_path / "clips", 4), plan_of("levels", "image_faults")

    def stop(done, total):
        assert total == 8
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(items, plan, tmp_path, on_progress=stop)
    assert len(keys_in(tmp_path)) == 3
    said = []
    measured = run(items, plan, tmp_path, on_progress=lambda done, total: said.append((done, total)))
    assert said[0] == (3, 8)
    assert said[-1] == (8, 8)
    found = keys_in(tmp_path)
    assert len(found) == len(set(found)) == 8
    assert measured == measure(items, plan, ScoreStore())


def test_more_scorers_later_find_only_what_is_new(tmp_path):
    items = write_clips(tmp_path / "clips", 2)
    run(items, plan_of("levels"), tmp_path)
    run(items, plan_of("levels", "image_faults"), tmp_path)
    assert len(keys_in(tmp_path)) == 4


def test_two_files_of_the_same_contents_are_scored_once_and_a_changed_one_anew(tmp_path):
    first, second = write_clips(tmp_path / "clips", 2)
    twin = tmp_path / "clips" / "twin.mp4"
    twin.write_bytes(first.path.read_bytes())
    items = [first, ClipItem("twin", twin)]
    measured = run(items, plan_of("levels"), tmp_path)
    assert measured[0].findings == measured[1].findings
    assert len(keys_in(tmp_path)) == 1
    twin.write_bytes(second.path.read_bytes())
    changed = run(items, plan_of("levels"), tmp_path)
    assert changed[0].findings == measured[0].findings
    assert changed[1].findings != measured[1].findings


def test_a_prompt_without_a_clip_counts_with_its_reason():
    [measured] = measure([ClipItem("a", None, "a dog")], plan_of("levels"), ScoreStore())
    assert {score.reason for score in measured.findings["levels"].scores.values()} == {
        "failed: there is no clip for this prompt"
    }


@pytest.mark.parametrize("workers", [0, 65])
def test_numbers_of_workers_out_of_range_are_refused(workers):
    with pytest.raises(ConfigError, match=f"workers must be 1 to 64, got {workers}"):
        measure([ClipItem("a", None)], plan_of("levels"), ScoreStore(), workers=workers)


def test_a_scorer_whose_file_is_that_of_another_model_is_given_no_clip_and_has_one_reason(tmp_path):
    items = write_clips(tmp_path / "clips", 2)
    (tmp_path / DOVER.name).write_bytes(b"no weights")
    plan = MeasurePlan(("levels", "dover"), ScorerSettings(tmp_path))
    told = []
    found = measure(items, plan, ScoreStore(), on_progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (2, 2)
    reasons = {score.reason for one in found for score in one.findings["dover"].scores.values()}
    assert reasons == {f"skipped: weights: {plan.refused['dover']}"}
