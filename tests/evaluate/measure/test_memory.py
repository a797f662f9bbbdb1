"""What processes that score will take is said before they begin."""

from dataclasses import replace

from evaluated_clips import plan_of, write_clips
from mova.evaluate.clips.item import ClipItem
from mova.evaluate.measure.memory import WorkersMemory, workers_memory
from mova.evaluate.measure.plan import MeasurePlan
from mova.scorers.registry import ScorerSettings
from mova.scorers.words.choice import TranscriberChoice


def test_clips_and_weights_count_for_each_process(tmp_path):
    items = [*write_clips(tmp_path / "clips", 2), ClipItem("gone", None), ClipItem("none", tmp_path / "none.mp4")]
    small = workers_memory(plan_of("levels"), items, 2)
    assert small.clip_bytes == 3 * 12 * 16 * 16 * 3
    assert small.weights_bytes == 0
    assert small.free_bytes > 0
    model = tmp_path / "whisper"
    model.mkdir()
    for name in ("model.bin", "vocabulary.txt"):
        (model / name).write_bytes(bytes(500))
    plan = MeasurePlan(("levels", "said"), ScorerSettings(transcriber=TranscriberChoice(folder=model)))
    assert workers_memory(plan, items, 2).each_bytes == small.each_bytes + 1000


def test_what_does_not_fit_is_said_with_what_does():
    memory = WorkersMemory(4, weights_bytes=1_000_000_000, clip_bytes=250_000_000, free_bytes=5_000_000_000)
    assert memory.each_bytes == 2_000_000_000
    assert memory.text() == (
        "4 processes take up to 8.0 GB, 2.0 GB each with 1.0 GB of weights; 5.0 GB are free: --workers 2 is safe"
    )
    assert "safe" not in replace(memory, workers=2).text()
