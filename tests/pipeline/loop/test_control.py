"""A run under control: watched, stopped, gone on from; with the same bits as one that nobody touched."""

import pytest
import torch

from mova.errors import ConfigError, StateError, StoppedError
from mova.pipeline.inputs.call import CallInputs
from mova.pipeline.inputs.media import GivenMedia, GivenNoise
from mova.pipeline.loop.control import Control
from mova.settings.sampling import GivenSettings

VIDEO = torch.rand(3, 5, 32, 32) * 2 - 1
AUDIO = torch.sin(torch.arange(12_000) / 9)
STEPS = 6
KINDS = {
    "euler": {},
    "unipc": {"sampler": "unipc"},
    "guided": {"guidance_scale": 3.0, "modality_scale": 2.0},
    "adaptive": {"guidance_scale": 3.0, "adaptive_guidance": 1.0, "sampler": "unipc"},
    **{
        f"cache {order}": {
            "guidance_scale": 3.0,
            "step_cache": 0.9,
            "step_cache_order": order,
            "num_inference_steps": 12,
        }
        for order in (0, 1, 2)
    },
}


@pytest.fixture(scope="module")
def settings_of(pipe, short):
    def make(media=None, **changes):
        given = GivenSettings(**(short | {"num_inference_steps": STEPS} | changes))
        return pipe.complete_settings(given, media=media)

    return make


def inputs(control=None, **changes) -> CallInputs:
    return CallInputs(
        **{"prompt": "a dog", "noise": GivenNoise(seed=3), "output_type": "latent", "control": control, **changes}
    )


def same(one, other) -> bool:
    return torch.equal(one.frames, other.frames) and torch.equal(one.audio, other.audio)


def interrupted(pipe, settings, every=1, **changes) -> list[bytes]:
    kept: list[bytes] = []
    pipe.run(settings, inputs(Control(save_state=kept.append, every=every), **changes))
    return kept


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_goes_on_ends_with_the_same_bits(pipe, settings_of, kind):
    settings = settings_of(**KINDS[kind])
    whole = pipe.run(settings, inputs())
    kept = interrupted(pipe, settings)
    assert len(kept) == settings.num_inference_steps - 1
    for state in kept:
        again = pipe.run(settings, inputs(Control(resume_from=state)))
        assert same(again, whole)
        assert again.calls == whole.calls
    if "cache" in kind:
        assert whole.calls.repeated > 0
    if kind == "adaptive":
        assert whole.calls.predictions < whole.calls.planned


@pytest.mark.parametrize("kind", ["unipc", "adaptive", "cache 1"])
def test_a_batch_goes_on(pipe, settings_of, kind):
    settings = settings_of(**KINDS[kind])
    batch = {"prompt": ["a dog", "a cat"], "noise": GivenNoise(seed=[3, 4], index=[0, 2])}
    whole = pipe.run(settings, inputs(**batch))
    state = interrupted(pipe, settings, every=3, **batch)[0]
    assert same(pipe.run(settings, inputs(Control(resume_from=state), **batch)), whole)


@pytest.mark.parametrize("media", [{"video": VIDEO}, {"audio": AUDIO}], ids=lambda media: next(iter(media)))
@pytest.mark.parametrize("sampler", ["euler", "unipc"])
def test_a_run_with_a_given_modality_goes_on(pipe, settings_of, media, sampler):
    settings, given = settings_of(GivenMedia(**media), sampler=sampler), GivenMedia(**media)
    whole = pipe.run(settings, inputs(media=given))
    for state in interrupted(pipe, settings, every=2, media=given):
        assert same(pipe.run(settings, inputs(Control(resume_from=state), media=given)), whole)


def test_a_control_that_only_watches_changes_nothing(pipe, settings_of):
    seen = []
    settings = settings_of(sampler="unipc")
    watched = pipe.run(settings, inputs(Control(on_step=seen.append)))
    assert same(watched, pipe.run(settings, inputs()))
    assert [(step.done, step.total) for step in seen] == [(done, STEPS) for done in range(1, STEPS + 1)]
    assert torch.equal(seen[-1].latents.video, watched.frames)
    assert seen[0].clean().video.shape == watched.frames.shape


def test_a_run_is_stopped_between_steps_goes_on_and_leaves_the_pipeline_usable(pipe, settings_of):
    settings, kept, seen = settings_of(sampler="unipc"), [], []
    control = Control(
        on_step=lambda step: seen.append(step.done),
        is_stopped=lambda: seen[-1:] == [4],
        save_state=kept.append,
        every=3,
    )
    with pytest.raises(StoppedError, match="after step 4 of 6") as caught:
        pipe.run(settings, inputs(control))
    assert (caught.value.done, caught.value.total) == (4, 6)
    assert len(kept) == 2
    whole = pipe.run(settings, inputs())
    assert same(pipe.run(settings, inputs(Control(resume_from=kept[-1]))), whole)


def test_states_that_are_too_large_are_told_once_and_not_kept(pipe, settings_of):
    kept, told = [], []
    control = Control(save_state=kept.append, every=1, most_bytes=1000, on_note=told.append)
    pipe.run(settings_of(), inputs(control))
    assert kept == []
    assert len(told) == 1
    assert "none is kept" in told[0]


def test_a_run_can_be_stopped_before_its_first_step(pipe, settings_of):
    with pytest.raises(StoppedError, match="after step 0 of 6"):
        pipe.run(settings_of(), inputs(Control(is_stopped=lambda: True)))


def test_a_run_that_has_gone_on_keeps_states_as_well(pipe, settings_of):
    settings = settings_of(sampler="unipc")
    first = interrupted(pipe, settings, every=2)
    later: list[bytes] = []
    pipe.run(settings, inputs(Control(resume_from=first[0], save_state=later.append, every=2)))
    assert later == first[1:]


@pytest.mark.parametrize(
    ("name", "change", "settings"),
    [
        ("prompt", {"prompt": "a cat"}, {}),
        ("negative_prompt", {"negative_prompt": "a boat"}, {}),
        ("seed", {"noise": GivenNoise(seed=4)}, {}),
        ("seed", {"noise": GivenNoise(seed=3, index=1)}, {}),
        ("clips", {"per_prompt": 2}, {}),
        ("image", {"media": GivenMedia(image=VIDEO[:, 0])}, {}),
        ("settings", {}, {"sampler": "unipc"}),
        ("settings", {}, {"num_inference_steps": 7}),
        ("settings", {}, {"num_frames": 9}),
        ("batch_branches", {"batch_branches": False}, {}),
    ],
)
def test_a_state_of_another_run_is_refused_by_what_differs(pipe, settings_of, name, change, settings):
    state = interrupted(pipe, settings_of(), every=3)[0]
    with pytest.raises(StateError, match=rf"differs in .*{name}.*; leave it out to start anew"):
        pipe.run(settings_of(**settings), inputs(Control(resume_from=state), **change))


def test_a_damaged_state_is_told_and_the_run_starts_anew(pipe, settings_of):
    settings = settings_of()
    whole, state = pipe.run(settings, inputs()), interrupted(pipe, settings)[2]
    for damaged in (state[: len(state) // 2], state[:-1] + bytes([state[-1] ^ 1]), b""):
        told: list[str] = []
        again = pipe.run(settings, inputs(Control(resume_from=damaged, on_note=told.append)))
        assert same(again, whole)
        assert len(told) == 1
        assert told[0].endswith("the run starts anew")


@pytest.mark.parametrize(
    "noise", [GivenNoise(), GivenNoise(generator=torch.Generator())], ids=["no seed", "a generator"]
)
def test_a_run_whose_noise_nobody_can_name_is_not_kept(pipe, settings_of, noise):
    with pytest.raises(ConfigError, match="give a seed, such as 0"):
        pipe.run(settings_of(), inputs(Control(save_state=lambda _: None), noise=noise))


def test_given_noise_tells_runs_apart(pipe, settings_of):
    settings = settings_of()
    video, audio = (
        torch.zeros(1, *shape) for shape in (settings.geometry.video_latent_shape, settings.geometry.audio_latent_shape)
    )
    state = interrupted(pipe, settings, noise=GivenNoise(video=video, audio=audio))[0]
    pipe.run(settings, inputs(Control(resume_from=state), noise=GivenNoise(video=video, audio=audio)))
    with pytest.raises(StateError, match="differs in latents"):
        pipe.run(settings, inputs(Control(resume_from=state), noise=GivenNoise(video=video + 1, audio=audio)))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"every": 0}, "every must be a whole number of 1 or more, got 0; nearest is 1"),
        ({"most_bytes": -1}, "most_bytes must be a whole number"),
        ({"every": True}, "every must be a whole number"),
        ({"resume_from": "state"}, "resume_from of a control must be bytes, got str"),
        ({"save_state": 3}, "save_state of a control must be a function, got int"),
        ({"on_note": None}, "on_note of a control must be a function"),
    ],
    ids=str,
)
def test_a_control_is_checked_when_it_is_made(change, text):
    with pytest.raises(ConfigError, match=text):
        Control(**change)
