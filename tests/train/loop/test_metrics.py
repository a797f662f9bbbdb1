"""The log of a run."""

import json
import sys

import pytest

from mova.errors import ConfigError, MissingExtraError
from mova.train.loop.metrics import JsonlLog, Metrics


def test_each_event_is_one_line_and_reopening_appends(tmp_path):
    path = tmp_path / "run" / "log.jsonl"
    JsonlLog(path).write("train", step=1, loss=0.123456, note="text")
    JsonlLog(path).write("validate", step=2)
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert first.pop("time").endswith("Z")
    assert first == {"event": "train", "step": 1, "loss": 0.1235, "note": "text"}
    assert (second["event"], second["step"]) == ("validate", 2)


def test_large_whole_numbers_keep_all_digits(tmp_path):
    JsonlLog(tmp_path / "log.jsonl").write("train", step=123_456)
    assert json.loads((tmp_path / "log.jsonl").read_text())["step"] == 123_456


def test_only_the_main_process_writes(tmp_path):
    silent = Metrics.open(tmp_path, ["tensorboard"], "run", enabled=False)
    silent.write("train", step=1, loss=0.5)
    silent.close()
    assert list(tmp_path.iterdir()) == []


def test_figures_can_be_read_back_from_tensorboard_also_after_going_on(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for step, loss in ((1, 0.5), (2, 0.25)):
        metrics = Metrics.open(tmp_path, ["tensorboard"], "run")
        metrics.write("train", step=step, loss=loss, note="text")
        metrics.close()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(1, 0.5), (2, 0.25)]
    assert events.Tags()["scalars"] == ["train/loss"]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2


def test_steps_that_are_done_again_after_a_crash_are_drawn_once(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    first = Metrics.open(tmp_path, ["tensorboard"], "run")
    first.begin(0)
    for step in (1, 2, 3, 4, 5):
        first.write("train", step=step, loss=float(step), lr=0.1)
    first.write("validate", step=3, error=1.0)
    # No farewell: the process is killed; the state on disk is that of step 3, which was validated.
    second = Metrics.open(tmp_path, ["tensorboard"], "run")
    second.begin(3)
    second.write("validate", step=3, error=1.0)
    for step in (4, 5, 6):
        second.write("train", step=step, loss=float(-step), lr=0.1)
    second.close()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    found = [(event.step, event.value) for event in events.Scalars("train/loss")]
    assert found == [(1, 1), (2, 2), (3, 3), (4, -4), (5, -5), (6, -6)]
    assert [event.step for event in events.Scalars("train/lr")] == [1, 2, 3, 4, 5, 6]
    assert [event.step for event in events.Scalars("validate/error")] == [3]
    first.close()


def test_a_sink_that_is_not_installed_names_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    for name in ("wandb", "tensorboard"):
        with pytest.raises(MissingExtraError, match=rf"mova\[{name}\]"):
            Metrics.open(tmp_path, [name], "run")


def test_an_unknown_sink_is_named(tmp_path):
    with pytest.raises(ConfigError, match="must be one of tensorboard, wandb, got 'neptune'"):
        Metrics.open(tmp_path, ["neptune"], "run")
