"""Clips by a small model that is loaded once: with their own bits, also where they were interrupted."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mova.errors import ConfigError, StateError, StoppedError
from mova.generate.again import another_seed
from mova.media.measures.collapse import Collapse
from mova.media.probe import probe, probe_audio
from mova.media.read import read_frames
from mova.media.write import read_metadata
from mova.pipeline.origin import read_origin
from mova.serve.worker.generator import Task, Watch
from mova.serve.worker.mova_generator import MovaGenerator, make_generator
from serve_kit import order
from serve_site import PROMPT, served
from worker_kit import Bench, killed_once, serve_settings

SMALL = {"height": 64, "width": 64, "num_frames": 9, "num_inference_steps": 6, "sampler": "unipc"}
# Of so few steps at a size that the model has not learned the video is flat.
ASKED = order("a red ball bounces on wood", model="mova-tiny", seed=3, settings=SMALL, retries=0)


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    made = make_generator(serve_settings(tmp_path_factory.mktemp("data"), model="mova-tiny", precision="float32"), {})
    with pytest.raises(ConfigError, match="must be loaded"):
        made.check_health()
    facts = made.load(lambda *_: None)
    assert (facts["model"], facts["device"]) == ("mova-tiny", "cpu")
    return made


@pytest.fixture(scope="module")
def whole(generator, tmp_path_factory):
    """The clip of the order, made without an interruption."""
    task = Task("video_0", ASKED, {}, tmp_path_factory.mktemp("whole") / "clip.mp4")
    told = []
    (made,) = generator.make([task], Watch(on_progress=lambda *report: told.append(report)))
    assert [report[1] for report in told if report[0] == "sampling"] == [0, 1, 2, 3, 4, 5, 6]
    assert [report[0] for report in told][-1] == "writing"
    assert (made.facts["seed"], made.facts["num_frames"], made.facts["width"]) == (3, 9, 64)
    assert made.facts["inference_s"] > 0
    assert made.facts["peak_memory_mb"] > 0
    assert made.thumbnail
    assert made.waveform
    return task.output


def test_the_file_says_how_it_was_made(whole):
    found = read_metadata(whole)
    assert (found["prompt"], found["seed"], found["model"]) == (ASKED.prompt, 3, "mova-tiny")
    assert found["settings"]["num_inference_steps"] == 6


def test_a_clip_that_was_stopped_goes_on_to_the_same_bits(generator, whole, tmp_path):
    task = Task("video_1", ASKED, {}, tmp_path / "clip.mp4")
    steps, states = [], []

    def on_progress(stage, done, total):
        if stage == "sampling":
            steps.append(done)

    with pytest.raises(StoppedError):
        generator.make(
            [task],
            Watch(on_progress=on_progress, is_stopped=lambda: steps[-1] == 3, save_state=states.append, every=2),
        )
    assert not task.output.exists()
    steps.clear()
    generator.make([task], Watch(on_progress=on_progress, resume_from=states[-1]))
    assert steps[-3:] == [4, 5, 6]
    assert len(steps) <= 4
    assert task.output.read_bytes() == whole.read_bytes()
    other = replace(task, order=replace(ASKED, seed=4))
    with pytest.raises(StateError, match="seed"):
        generator.make([other], Watch(resume_from=states[-1]))


def test_a_clip_is_made_from_its_image(generator, whole, tmp_path):
    Image.fromarray(np.full((64, 64, 3), 30, np.uint8)).save(tmp_path / "image.png")
    task = Task("video_2", ASKED, {"image": tmp_path / "image.png"}, tmp_path / "clip.mp4")
    generator.make([task], Watch())
    assert read_metadata(task.output)["image"]["file"] == "image.png"
    with_image, without = (
        read_frames(path, frame_rate=24.0, num_frames=9, size=(64, 64)).astype(int) for path in (task.output, whole)
    )
    assert np.abs(with_image - without).mean() > 10


def test_clips_of_one_run_are_those_of_each_up_to_rounding(generator, whole, tmp_path):
    orders = [ASKED, replace(ASKED, prompt="a green lamp", seed=9)]
    tasks = [Task(f"video_{place}", one, {}, tmp_path / f"{place}.mp4") for place, one in enumerate(orders)]
    assert generator.most_together(ASKED) > 1
    shown = []
    generator.make(tasks, Watch(on_preview=lambda place, make: shown.append((place, make().shape))))
    assert [place for place, _ in shown] == [0, 1] * 5
    assert {shape[0] for _, shape in shown} == {3}
    together, alone = (
        read_frames(path, frame_rate=24.0, num_frames=9, size=(64, 64)).astype(int) for path in (tasks[0].output, whole)
    )
    assert np.abs(together - alone).mean() < 1
    assert read_metadata(tasks[1].output)["prompt"] == "a green lamp"


def test_the_file_says_what_the_prompt_was_before(generator, tmp_path):
    for enhancement, original in (({"original": "ball", "provider": "offline"}, "ball"), ({"original": 3}, None)):
        few = {**SMALL, "num_inference_steps": 1}
        task = Task("video_3", replace(ASKED, settings=few, enhancement=enhancement), {}, tmp_path / "clip.mp4")
        generator.make([task], Watch())
        assert read_metadata(task.output).get("enhancement", {}).get("original") == original


def test_a_model_that_is_there_is_well(generator):
    generator.check_health()
    assert isinstance(generator, MovaGenerator)


def test_a_flat_clip_of_a_request_is_made_again_and_the_answer_says_so(generator, tmp_path, monkeypatch):
    found = [Collapse("flat", 0.5, 9.0), None, Collapse("flat", 0.5, 9.0)]
    monkeypatch.setattr("mova.media.measures.collapse.find_collapse", lambda _: found.pop(0))
    few = {"size": "64x64", "num_frames": 9, "num_inference_steps": 1, "seed": 3}
    bench = Bench(tmp_path / "data", model="mova-tiny")
    with served(tmp_path, model="mova-tiny") as site, bench.working(generator):
        names = [site.create(retries=retries, **few)["id"] for retries in (1, 0)]
        bench.ended(*names)
        again, kept = (site.ask("GET", f"/v1/videos/{name}") for name in names)
        name = site.store.get(names[0]).artifacts["video"]
        (tmp_path / "clip.mp4").write_bytes(site.artifacts.read_all(name))
    bench.close()
    words = str(Collapse("flat", 0.5, 9.0))
    assert (again["seed"], again["made_seed"], again["retries"]) == (3, another_seed(3, 1), 1)
    assert again["attempts"] == kept["attempts"] == [{"seed": 3, "found": "flat", "words": words}]
    assert again["notes"] == [f"seed 3 gave a video that is {words}; made again with another seed"]
    assert kept["made_seed"] == 3
    assert "its seed is kept" in kept["notes"][0]
    said = read_metadata(tmp_path / "clip.mp4")
    assert (said["seed"], said["asked_seed"], said["collapse"]) == (another_seed(3, 1), 3, again["attempts"])
    origin = read_origin(tmp_path / "clip.mp4")
    assert (origin.seed, origin.prompt) == (another_seed(3, 1), PROMPT)


def test_of_clips_of_one_run_a_flat_one_is_made_again(generator, tmp_path, monkeypatch):
    found = [None, Collapse("flat", 0.5, 9.0), None]
    monkeypatch.setattr("mova.media.measures.collapse.find_collapse", lambda _: found.pop(0))
    few, shown = {**SMALL, "num_inference_steps": 2}, []
    tasks = [
        Task(f"video_{n}", replace(ASKED, settings=few, retries=None), {}, tmp_path / f"{n}.mp4") for n in range(2)
    ]
    made = generator.make(tasks, Watch(on_preview=lambda place, make: shown.append((place, len(make())))))
    assert [one.facts["seed"] for one in made] == [3, another_seed(3, 1)]
    assert [len(one.facts["attempts"]) for one in made] == [0, 1]
    assert [place for place, _ in shown] == [0, 1, 1]
    assert [read_metadata(task.output)["seed"] for task in tasks] == [3, another_seed(3, 1)]


@pytest.mark.slow
def test_a_job_whose_worker_is_killed_ends_with_the_same_clip(whole, tmp_path):
    bench = Bench(tmp_path, model="mova-tiny", precision="float32", checkpoint_every=2)
    assert killed_once(bench, ASKED) == whole.read_bytes()


def test_one_modality_alone_and_an_image_at_a_moment(generator, tmp_path):
    Image.fromarray(np.full((64, 64, 3), 30, np.uint8)).save(tmp_path / "keyframe.png")
    few = {**SMALL, "num_inference_steps": 1}
    inputs = {"keyframe_0": tmp_path / "keyframe.png"}
    silent = replace(
        ASKED, settings=few, only="video", keyframes=(0.17,), inputs=dict.fromkeys(inputs, "uploads/a.png")
    )
    task = Task("video_4", silent, inputs, tmp_path / "silent.mp4")
    (made,) = generator.make([task], Watch())
    assert (made.facts["num_frames"], made.waveform) == (9, b"")
    assert probe(task.output).audio is None
    said = read_metadata(task.output)
    assert (said["only"], said["keyframes"][0]["time_s"]) == ("video", 0.17)
    heard = Task("video_5", replace(ASKED, settings=few, only="audio"), {}, tmp_path / "heard.mp4")
    (made,) = generator.make([heard], Watch())
    assert (made.facts["num_frames"], made.thumbnail, made.spritesheet) == (0, b"", b"")
    assert made.waveform
    assert made.facts["duration_s"] == pytest.approx(9 / 24, abs=0.01)
    assert probe_audio(heard.output)


def test_the_sound_of_a_span_is_made_anew(generator, whole, tmp_path):
    other = replace(ASKED, inputs={"video": "uploads/a.media"}, retakes=("0.1-0.3:audio",), seed=8)
    task = Task("video_3", other, {"video": whole}, tmp_path / "clip.mp4")
    (made,) = generator.make([task], Watch())
    assert made.facts["num_frames"] == 9
    frames = [read_frames(path, frame_rate=24.0, num_frames=9).astype(float) for path in (whole, task.output)]
    assert np.abs(frames[0] - frames[1]).mean() < 2
    assert read_metadata(task.output)["retake"] == ["0.1-0.3:audio"]
