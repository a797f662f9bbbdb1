"""Clips made while training."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import shared_clips
import shared_training
from mova.errors import ConfigError
from mova.evaluate.toyworld import summarise
from mova.media.probe import probe
from mova.models.experts import ExpertForward
from mova.offload.placement import Placement
from mova.offload.residency import OneAtATime
from mova.pipeline.loop.sampling import sample
from mova.toyworld import first_frame, render, sample_scene, score_clip
from mova.toyworld.score import match_events
from mova.train.config import load_recipe
from mova.train.config.joint import ValidationConfig
from mova.train.ladder import run_recipe
from mova.train.loop.checkpoint import list_states
from mova.train.validation import ClipSampler, SampleSettings, together
from processes import run_processes


@pytest.fixture
def changes(tmp_path, minimal, recipes):
    from mova.train.config import accepts

    known = load_recipe(recipes("tiny_joint"))
    starts = [f"start.{name}=mova-tiny" for name in ("video_dit", "video_dit_2", "audio_dit", "dual_tower_bridge")]
    sizes = [text for text in minimal if accepts(known, text)]
    return [
        *sizes,
        *starts,
        "encoders=mova-tiny",
        "validation.clips=2",
        "validation.num_inference_steps=2",
        f"model={tmp_path}/run/model",
        "run.validate_every=1",
    ]


def test_each_validation_leaves_clips_with_sound_and_their_scores(recipes, changes, tmp_path):
    run_recipe(recipes("tiny_joint"), overrides=changes)
    home = tmp_path / "run" / "tiny_joint"
    assert sorted(path.name for path in (home / "validation").iterdir()) == ["step_00000001", "step_00000002"]
    for folder in (home / "validation").iterdir():
        assert sorted(path.name for path in folder.iterdir()) == ["00.mp4", "01.mp4", "scores.json"]
        info = probe(folder / "00.mp4")
        assert info.video.display_size == (32, 32)
        assert info.audio is not None
        assert info.duration_s == pytest.approx(17 / 24, abs=0.05)
        record = json.loads((folder / "scores.json").read_text())
        assert record["problem"] == ""
        assert len(record["clips"]) == 2
    logged = [json.loads(line) for line in (home / "log.jsonl").read_text().splitlines()]
    figures = [event for event in logged if event["event"] == "validate"]
    assert all({"clips_recall", "clips_precision", "clips_offset_ms", "video_error_0.6"} <= set(one) for one in figures)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """The folder of runs with one and two processes, the latents of their clips, and what else two of them saw."""
    folder = tmp_path_factory.mktemp("clips")
    shared_training.write_recipes(folder)
    shared_clips.write_base(folder)
    latents = {"alone": shared_clips.make(folder, "alone")}
    found = run_processes(shared_clips.several, 2, folder / "two")
    for name in ("shard", "ring"):
        for rank in (0, 1):
            latents[f"{name} {rank}"] = torch.load(folder / "two" / f"{name}_{rank}.pt")
    return folder, latents, found


def assert_same_clips(some, others):
    assert len(some) == len(others) == 2
    for one, other in zip(some, others, strict=True):
        for mine, theirs in zip(one, other, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=0, atol=2e-5 * float(theirs.abs().max()))


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("name", ["shard", "ring"])
def test_several_processes_make_the_clips_of_one(clips, name, rank):
    _, latents, _ = clips
    assert_same_clips(latents[f"{name} {rank}"], latents["alone"])
    one, other = latents["alone"]
    assert not torch.equal(one[0], other[0])


@pytest.fixture(scope="module")
def adapted_clips(clips):
    """The latents of one process's clips with adapters."""
    folder, _, _ = clips
    return shared_clips.make(folder, "lora_alone", recipe=shared_training.LORA)


@pytest.mark.slow
def test_adapters_on_sharded_weights_make_the_clips_of_one_process(clips, adapted_clips):
    folder, _, _ = clips
    run_processes(shared_clips.adapted, 2, folder / "adapted")
    for rank in (0, 1):
        assert_same_clips(torch.load(folder / "adapted" / f"lora_shard_{rank}.pt"), adapted_clips)


def test_the_main_process_writes_them_with_their_scores(clips):
    folder, _, _ = clips
    expected = json.loads((folder / "alone" / "joint" / "validation" / "step_00000001" / "scores.json").read_text())
    for name in ("shard", "ring"):
        made = folder / name / "joint" / "validation" / "step_00000001"
        assert sorted(path.name for path in made.iterdir()) == ["00.mp4", "01.mp4", "scores.json"]
        record = json.loads((made / "scores.json").read_text())
        assert record["problem"] == ""
        assert record["figures"] == pytest.approx(expected["figures"], rel=1e-3)
        line = json.loads((folder / name / "joint" / "log.jsonl").read_text().splitlines()[-1])
        assert line["clips_recall"] == pytest.approx(record["figures"]["clips_recall"], rel=1e-3)


def test_an_error_of_the_main_process_is_that_of_all(clips):
    _, _, found = clips
    assert [one["broken"] for one in found] == ["OSError: the disk is gone"] * 2


def test_processes_that_are_asked_to_stop_do_not_wait_for_the_clips(clips):
    folder, _, found = clips
    assert [one["stopped"] for one in found] == ["Interrupted: 15"] * 2
    home = folder / "stopped" / "joint"
    assert [path.name for path in list_states(home / "checkpoints")] == ["step_00000002"]
    assert not (home / "validation").exists()


@pytest.mark.slow
def test_each_expert_is_on_the_device_when_its_steps_come(clips, adapted_clips, monkeypatch):
    folder, _, _ = clips
    use, forward = OneAtATime.use, ExpertForward.__call__
    present, seen = [], []

    def used(residency, name):
        use(residency, name)
        present.append(residency.present)

    def called(expert_forward, *inputs, **settings):
        found = forward(expert_forward, *inputs, **settings)
        seen.append((expert_forward.expert, present[-1]))
        return found

    monkeypatch.setattr(OneAtATime, "use", used)
    monkeypatch.setattr(ExpertForward, "__call__", called)
    made = shared_clips.make(folder, "lora_one", "memory.one_expert=true", recipe=shared_training.LORA)
    assert_same_clips(made, adapted_clips)
    assert {expert for expert, _ in seen} == {"high_noise", "low_noise"}
    assert all(expert == there for expert, there in seen)


def test_blocks_that_are_streamed_make_the_same_clips(clips, adapted_clips):
    settings = "memory={checkpoint_activations: true, stream_blocks: true}"
    made = shared_clips.make(clips[0], "lora_streamed", settings, recipe=shared_training.LORA)
    assert_same_clips(made, adapted_clips)


def test_shares_count_what_is_seen_and_heard_together():
    clip = render(sample_scene(3)).clip
    right = score_clip(sample_scene(3), clip, first_frame=first_frame(clip))
    found = together([right])
    assert (found["clips_recall"], found["clips_precision"]) == (1.0, 1.0)
    assert found["clips_offset_ms"] < 10
    empty = dataclasses.replace(right, seen_s=(), heard_s=(), offsets_ms=())
    count = len(right.offsets_ms)
    assert together([right, empty])["clips_recall"] == pytest.approx(count / (count + 1))
    assert together([]) == {}


def test_a_validation_counts_the_events_that_an_evaluation_counts():
    """Among them events near the end, of which a clip may not show enough."""
    drawn = np.random.default_rng(0)
    clip = render(sample_scene(3)).clip
    right = score_clip(sample_scene(3), clip, first_frame=first_frame(clip))
    scores = []
    for _ in range(18):
        seen_s = np.sort(drawn.uniform(0, right.until_s + 0.15, drawn.integers(0, 6)))
        heard_s = np.sort(drawn.uniform(0, right.until_s + 0.15, drawn.integers(0, 6)))
        heard_s[: len(seen_s) // 2] = seen_s[: min(len(seen_s) // 2, len(heard_s))]
        heard_s = np.sort(heard_s)
        pairs = match_events(seen_s, heard_s, right.tolerance_s)
        offsets = tuple(1000 * float(heard_s[j] - seen_s[i]) for i, j in pairs)
        scores.append(dataclasses.replace(right, seen_s=tuple(seen_s), heard_s=tuple(heard_s), offsets_ms=offsets))
    assert any(time_s >= score.until_s for score in scores for time_s in score.seen_s)
    validated, evaluated = together(scores), summarise(scores)
    for name in ("recall", "precision"):
        assert validated[f"clips_{name}"] == pytest.approx(evaluated[name].value)
    assert validated["clips_offset_ms"] == pytest.approx(evaluated["offset_median_abs_ms"].value)


def test_clips_come_from_the_loop_of_every_pipeline_with_its_cache_its_counts_and_encoders_that_are_offloaded(
    clips, monkeypatch
):
    folder, _, _ = clips
    placements, resident = [], []

    def placed(*arguments):
        placements.append(Placement(*arguments))
        return placements[-1]

    def sampled(*arguments, **options):
        resident.append(placements[-1].resident_bytes())
        return sample(*arguments, **options)

    monkeypatch.setattr("mova.train.validation.Placement", placed)
    monkeypatch.setattr("mova.train.validation.sample", sampled)
    cached = ["validation.step_cache=100", "validation.num_inference_steps=4", "validation.modality_scale=1"]
    shared_clips.make(folder, "cached", *cached)
    calls = json.loads((folder / "cached/joint/validation/step_00000001/scores.json").read_text())["calls"]
    assert [one["predictions"] for one in calls] == [one["planned"] for one in calls] == [8, 8]
    assert all(0 < one["repeated"] < 8 for one in calls)
    assert resident == [0, 0]
    assert placements[-1].peak_weights_bytes > 0


def test_several_processes_have_no_step_cache():
    validation = ValidationConfig(clips=1, step_cache=0.1)
    settings = SampleSettings(validation, 5.0, 5.0, 0.9, Path())
    with pytest.raises(ConfigError, match=r"validation.step_cache is for one process, got 0.1 with 2; nearest is 0"):
        ClipSampler(settings, None, {}, {}, torch.device("cpu"), SimpleNamespace(world_size=2))
