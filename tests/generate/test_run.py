import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from mova.errors import ConfigError, GeometryError, MovaError, MuxError, ReadError
from mova.files.json_file import Fields
from mova.generate.record import describe
from mova.generate.request import ClipOptions, MediaFiles
from mova.generate.run import generate_file, make_request
from mova.generate.session import DECODING, LOADING, SAMPLING, WRITING
from mova.media.read import read_clip
from mova.media.write import read_metadata
from mova.pipeline import load
from mova.pipeline.runtime import Runtime
from mova.settings.sampling import GivenSettings
from mova.weights.fingerprint import weights_hash

SHORT = GivenSettings(height=32, width=48, num_frames=9, num_inference_steps=3, guidance_scale=1.0)


@pytest.fixture
def weights_stay_closed(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("weights were loaded before everything was checked")

    monkeypatch.setattr(load, "load_pipeline", refuse)


def test_request_becomes_a_file_that_tells_its_origin(checkpoint, tmp_path):
    seen = []
    folder, request = make_request(str(checkpoint), ClipOptions(prompt="a dog  barks", seed=5, settings=SHORT))
    made = generate_file(request, folder, tmp_path / "a.mp4", on_progress=lambda *event: seen.append(event))

    clip = read_clip(made.path)
    assert clip.frames.shape == (9, 32, 48, 3)
    assert clip.waveform.shape == (1, 18_000)
    assert read_metadata(made.path) == dict(made.metadata)
    assert made.metadata["prompt"] == "a dog  barks"
    assert (made.metadata["seed"], made.metadata["model"]) == (5, "pipeline_checkpoint")
    assert made.metadata["weights_sha256"] == weights_hash(checkpoint)
    assert made.metadata["settings"]["num_inference_steps"] == 3
    stages = {stage: [event[1:] for event in seen if event[0] == stage] for stage, *_ in seen}
    assert list(stages) == [LOADING, SAMPLING, DECODING, WRITING]
    assert stages[SAMPLING] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    # Each component that is loaded, and each part that is decoded, moves the bar up to its end.
    assert len(stages[LOADING]) > 5
    assert stages[LOADING][-1][0] == stages[LOADING][-1][1]
    assert stages[DECODING][-1] == (3, 3)
    assert set(made.seconds) == {LOADING, SAMPLING, DECODING, WRITING}
    assert json.loads(made.to_json())["num_frames"] == 9


def test_settings_in_the_file_make_the_same_clip_again(checkpoint, tmp_path):
    folder, request = make_request(str(checkpoint), ClipOptions(prompt="a dog", seed=1, settings=SHORT))
    first = generate_file(request, folder, tmp_path / "a.mp4")
    origin = first.metadata
    recorded = GivenSettings.read(Fields(origin["settings"], "settings", MovaError))
    again = make_request(
        str(checkpoint), ClipOptions(prompt=origin["prompt"], seed=int(origin["seed"]), settings=recorded)
    )[1]
    second = generate_file(again, folder, tmp_path / "b.mp4")
    assert np.array_equal(read_clip(first.path).frames, read_clip(second.path).frames)
    assert second.metadata == origin


def test_what_was_cut_is_reported(checkpoint, tmp_path):
    folder, request = make_request(str(checkpoint), ClipOptions(prompt="a dog " * 400 + "boat", settings=SHORT))
    made = generate_file(request, folder, tmp_path / "a.mp4")
    (cut,) = json.loads(made.to_json())["cut_prompts"]
    assert cut["max_tokens"] == 512
    assert cut["removed_text"].endswith("boat")


def test_negative_prompt_of_the_model_is_recorded(checkpoint, tmp_path):
    folder, request = make_request(str(checkpoint), ClipOptions(prompt="a dog", negative_prompt="grey", settings=SHORT))
    assert describe(request, folder)["negative_prompt"] == "grey"
    assert make_request(str(checkpoint), ClipOptions(prompt="a dog"))[1].negative_prompt == ""


@pytest.mark.usefixtures("weights_stay_closed")
def test_wrong_values_stop_before_weights_are_loaded(checkpoint, tmp_path):
    with pytest.raises(GeometryError, match="width must be a positive multiple of 16, got 50; nearest are 48 and 64"):
        make_request(str(checkpoint), ClipOptions(prompt="a dog", settings=replace(SHORT, width=50)))

    folder, request = make_request(str(checkpoint), ClipOptions(prompt="a dog", settings=SHORT))
    with pytest.raises(MuxError, match="directory that exists"):
        generate_file(request, folder, tmp_path / "missing" / "a.mp4")
    with pytest.raises(MuxError, match=r"must end in \.mp4"):
        generate_file(request, folder, tmp_path / "a.gif")

    broken = tmp_path / "broken.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(broken)
    broken.write_bytes(broken.read_bytes()[:120])
    folder, request = make_request(
        str(checkpoint), ClipOptions(prompt="a dog", files=MediaFiles(image=broken), settings=SHORT)
    )
    with pytest.raises(ReadError, match=r"broken\.png"):
        generate_file(request, folder, tmp_path / "a.mp4")
    assert not (tmp_path / "a.mp4").exists()


def test_failure_while_sampling_leaves_no_file(checkpoint, tmp_path):
    folder, request = make_request(str(checkpoint), ClipOptions(prompt="a dog", settings=SHORT))

    def stop(stage, done, _):
        if (stage, done) == (SAMPLING, 2):
            raise MovaError("stopped")

    with pytest.raises(MovaError, match="stopped"):
        generate_file(request, folder, tmp_path / "a.mp4", on_progress=stop)
    assert list(tmp_path.iterdir()) == []


def run_out_while(monkeypatch, *placements):
    """Let memory really run out in the middle of a run with these placements."""
    from mova.models.tower import VideoTower

    finish = VideoTower.finish
    tried = []

    def finish_or_run_out(tower, *args):
        is_streamed = any(len(block._forward_pre_hooks) for block in tower.blocks)
        tried.append("streamed" if is_streamed else "whole")
        if tried[-1] in placements:
            torch.empty(2**52, dtype=torch.uint8)
        return finish(tower, *args)

    monkeypatch.setattr(VideoTower, "finish", finish_or_run_out)
    return tried


def test_where_memory_runs_out_a_clip_is_made_in_less_of_it_and_this_is_said(checkpoint, tmp_path, monkeypatch, caplog):
    folder, request = make_request(str(checkpoint), ClipOptions(prompt="a dog", seed=5, settings=SHORT))
    expected = generate_file(request, folder, tmp_path / "a.mp4")
    tried = run_out_while(monkeypatch, "whole")
    with caplog.at_level("WARNING"):
        made = generate_file(request, folder, tmp_path / "b.mp4")
    assert [message for message in caplog.messages if "memory ran out" in message] == [
        "memory ran out with memory=resident; going on with memory=phases",
        "memory ran out with memory=phases; going on with memory=disk",
    ]
    assert tried.count("whole") == 2
    assert "streamed" in tried
    levels = read_clip(made.path).frames.astype(int) - read_clip(expected.path).frames
    # Compression lets a level that was rounded the other way spread.
    assert abs(levels).mean() < 0.5


@pytest.mark.parametrize(
    ("memory", "said"),
    [
        ("resident", r"memory ran out with memory=resident; nearest that needs less is memory=phases .memory=auto"),
        ("disk", "memory ran out with memory=disk, the placement that takes least; fewer frames"),
    ],
)
def test_a_placement_that_was_asked_for_is_not_left(checkpoint, tmp_path, monkeypatch, memory, said):
    folder, request = make_request(str(checkpoint), ClipOptions(prompt="a dog", seed=5, settings=SHORT))
    run_out_while(monkeypatch, "whole", "streamed")
    with pytest.raises(ConfigError, match=said):
        generate_file(request, folder, tmp_path / "a.mp4", runtime=Runtime(memory=memory))
    assert list(tmp_path.iterdir()) == []


def test_other_errors_are_not_taken_for_missing_memory(checkpoint, tmp_path, monkeypatch):
    from mova.models.tower import VideoTower

    def fail(*_):
        raise RuntimeError("something else")

    monkeypatch.setattr(VideoTower, "finish", fail)
    folder, request = make_request(str(checkpoint), ClipOptions(prompt="a dog", seed=5, settings=SHORT))
    with pytest.raises(RuntimeError, match="something else"):
        generate_file(request, folder, tmp_path / "a.mp4")
