"""What the model offers, and requests completed with what it recommends."""

import pytest

from mova.serve.faults import FieldError
from mova.serve.intake.forms import Asked
from mova.serve.intake.offer import Offer
from mova.serve.settings import load_settings
from mova.web.refusals import RefusedError


@pytest.fixture(scope="module")
def offer():
    return Offer(load_settings(None, {"limits.clip_frames": 97, "limits.clip_pixels": 128 * 128 * 4}))


def test_what_is_not_given_is_what_the_model_recommends(offer):
    completed = offer.complete(Asked(prompt="a red ball", seed=5, num_variants=3), {})
    request = completed.request
    assert (offer.name, request.model, request.prompt) == ("mova-tiny", "mova-tiny", "a red ball")
    assert (request.settings.width, request.settings.num_frames) == (128, 49)
    assert (completed.order.settings, completed.speed, completed.seeds) == ({}, "exact", (5, 6, 7))


def test_a_seed_is_drawn_where_none_is_given(offer):
    first, second = (offer.complete(Asked(prompt="a"), {}).seeds for _ in range(2))
    assert first != second


@pytest.mark.parametrize(("seconds", "rate", "frames"), [(2, 24, 49), (1.5, 24, 37), (0.01, 24, 1), (1, 12, 13)])
def test_seconds_become_the_nearest_number_of_frames(offer, seconds, rate, frames):
    assert offer.complete(Asked(prompt="a", seconds=seconds, settings={"frame_rate": rate}), {}).order.settings == {
        "frame_rate": rate,
        "num_frames": frames,
    }
    with_frames = offer.complete(Asked(prompt="a", seconds=seconds, settings={"num_frames": 5}), {})
    assert with_frames.order.settings["num_frames"] == 5


@pytest.mark.parametrize(
    ("more", "long"),
    [
        ({"seconds": 4}, {"length_s": 4}),
        ({"settings": {"num_frames": 97}}, {"length_s": 97 / 24}),
        ({"seconds": 4, "windows": "joint", "overlap_s": 0.5}, {"length_s": 4, "method": "joint", "overlap_s": 0.5}),
        ({"seconds": 1, "prompts_at": ((0.5, "b"),)}, {"length_s": 1, "prompts_at": [[0.5, "b"]]}),
    ],
)
def test_what_is_longer_than_the_model_learned_is_made_in_windows(offer, more, long):
    completed = offer.complete(Asked(prompt="a", **more), {})
    assert completed.order.settings == {}
    assert completed.order.long == {"method": "continue", "prompts_at": [], **long}
    assert completed.request.settings.num_frames == 49
    assert completed.request.long.length_s == long["length_s"]


def test_a_long_clip_with_images_at_moments_or_one_modality_is_made_at_once(offer, tmp_path):
    file = tmp_path / "x"
    file.write_bytes(b"x")
    whole = {"settings": {"num_frames": 97}}
    for more, files in (
        ({"keyframes": (1.0,)}, {"keyframe_0": file}),
        ({"only": "audio"}, {}),
        ({}, {"video": file}),
        ({}, {"last_image": file}),
    ):
        completed = offer.complete(Asked(prompt="a", **whole, **more), files)
        assert (completed.order.long, completed.request.settings.num_frames) == (None, 97)


@pytest.mark.parametrize(
    ("asked", "param", "text"),
    [
        (Asked(), "prompt", "prompt must hold text"),
        (Asked(prompt="  "), "prompt", "prompt must hold text"),
        (Asked(prompt="a", settings={"width": 100}), "size", "nearest are 96 and 112"),
        (Asked(prompt="a", settings={"width": 1024, "height": 1024}), "size", "on this server"),
        (Asked(prompt="a", settings={"width": 10**9}), "size", "nearest is 16384"),
        (Asked(prompt="a", settings={"num_frames": 50}), "num_frames", "nearest are 49 and 53"),
        (Asked(prompt="a", settings={"num_frames": 101}), "num_frames", "at most 97 on this server"),
        (Asked(prompt="a", seconds=3600), "num_frames", "at most 97 on this server"),
        (Asked(prompt="a", settings={"num_inference_steps": 201}), "num_inference_steps", "nearest is 200"),
        (Asked(prompt="a", settings={"num_inference_steps": 0}), "num_inference_steps", "nearest is 1"),
        (Asked(prompt="a", settings={"frame_rate": 0.0}), "fps", "frame rate"),
        (Asked(prompt="a", settings={"guidance_scale": -1.0}), "guidance_scale", "0 or more"),
        (Asked(prompt="a", settings={"sampler": "eulr"}), "sampler", "nearest is euler"),
        (Asked(prompt="a", speed="fastet"), "speed", "nearest is fastest"),
        (Asked(prompt="a", speed="distilled"), "speed", "must be one of exact, fast, fastest"),
        (Asked(prompt="a", seed=-1), "seed", "nearest is 0"),
        (Asked(prompt="a", seed=2**64 - 1, num_variants=2), "seed", "for 2 variants"),
        (Asked(prompt="a", start_s=1.0), "start_s", "start is for a video or audio"),
        (Asked(prompt="a", model="sora-2"), "model", "nearest is mova-tiny"),
        (Asked(prompt="a", only="vidoe"), "only", "nearest is video"),
        (Asked(prompt="a", fit="padd"), "fit", "nearest is pad"),
        (Asked(prompt="a", settings={"null_image": "black"}), "null_image", "must be one of white, none"),
        (Asked(prompt="a", windows="joined", seconds=4), "windows", "nearest is joint"),
        (Asked(prompt="a", windows="joint"), "seconds", "for a clip of several windows"),
        (Asked(prompt="a", prompts_at=((-1.0, "b"),), seconds=4), "prompt_at", "nearest is 0"),
        (Asked(prompt="a", prompts_at=((1.0, "b"), (1.0, "c")), seconds=4), "prompt_at", "each time once"),
        (Asked(prompt="a", settings={"num_frames": 90}), "num_frames", "nearest are 89 and 93"),
        (Asked(prompt="a", settings={"num_frames": 97, "frame_rate": 0.0}), "fps", "frame rate"),
        (Asked(prompt="a", only="audio", seconds=4, windows="joint"), "only", "for a clip of one window"),
    ],
)
def test_what_the_model_cannot_do_is_refused_before_anything_is_queued(offer, asked, param, text):
    with pytest.raises(FieldError, match=text) as refused:
        offer.complete(asked, {})
    assert refused.value.param == param


def test_inputs_that_contradict_each_other_are_refused(offer, tmp_path):
    file = tmp_path / "x"
    file.write_bytes(b"x")
    with pytest.raises(RefusedError, match="nothing is left to generate"):
        offer.complete(Asked(prompt="a"), {"video": file, "audio": file})
    with pytest.raises(RefusedError, match="video already holds the frames"):
        offer.complete(Asked(prompt="a"), {"video": file, "image": file})


def test_a_distilled_model_has_one_speed():
    distilled = Offer(load_settings(None, {"speed": "distilled"}))
    assert distilled.speeds == ("distilled",) == (distilled.default_speed,)
    completed = distilled.complete(Asked(prompt="a"), {})
    assert completed.request.loras
    assert completed.request.settings.num_inference_steps == distilled.defaults.num_inference_steps
