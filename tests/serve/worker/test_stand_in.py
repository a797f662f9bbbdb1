"""What stands in for a model."""

import json

import pytest

from mova.errors import StoppedError
from mova.media.write import read_metadata
from mova.serve.worker.generator import Task, Watch
from mova.serve.worker.stand_in import StandIn, make_stand_in
from serve_kit import order


def test_a_clip_comes_after_its_steps_and_can_be_gone_on_from(tmp_path):
    task = Task("video_0", order(seed=3), {}, tmp_path / "clip.mp4")
    told, states = [], []
    stand_in = make_stand_in(None, {"step_s": 0.0, "steps": 4})
    assert stand_in.load(lambda *_: None) == {"device": "none"}
    tell = {"on_progress": lambda *report: told.append(report)}
    watch = Watch(**tell, is_stopped=lambda: len(told) > 2, save_state=states.append)
    with pytest.raises(StoppedError):
        stand_in.make([task], watch)
    assert json.loads(states[-1]) == {"done": 2}
    told.clear()
    (made,) = stand_in.make([task], Watch(**tell, resume_from=states[-1]))
    assert [report[1] for report in told if report[0] == "sampling"] == [2, 3, 4]
    assert read_metadata(task.output) == {"prompt": task.order.prompt, "seed": 3}
    assert made.thumbnail[:2] == b"\xff\xd8"
    assert made.waveform[:4] == b"\x89PNG"


def test_it_is_always_well():
    StandIn().check_health()
    assert StandIn().most_together(order()) > 1
