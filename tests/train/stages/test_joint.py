"""Both towers and the bridge: draws, dropouts, experts, exact resuming."""

import json
from shutil import copytree

import pytest
import torch

from mova.data.latents import open_splits
from mova.train.loop.trainer import Trainer, step_generator
from mova.train.stages.joint import JointStage
from mova.train.steps.draws import draw_step
from mova.weights.components import load_component
from shared_training import JOINT

CPU = torch.device("cpu")
# Towers of two layers that begin with nothing: a step of them takes a fifth of the time.
SMALL = ("start.audio_dit=new", f"start.changes={json.dumps(JOINT['start']['changes'])}")


@pytest.fixture(scope="module")
def make_joint(make_config, ladder_run):
    """Return a function that makes the joint stage on the ladder's latents."""
    folder, _ = ladder_run

    def make(*changes, cache=folder / "latents"):
        small = () if any(text.startswith("start") for text in changes) else SMALL
        changes = (*small, *changes)
        return JointStage(make_config("tiny_joint", folder / "model", *changes), cache)

    return make


@pytest.fixture(scope="module")
def more_cache(ladder_run, tmp_path_factory):
    """The ladder's latents in a folder that may get more."""
    folder = tmp_path_factory.mktemp("more") / "latents"
    copytree(ladder_run[0] / "latents", folder)
    return folder


@pytest.fixture(scope="module")
def source(make_config, ladder_run):
    folder, _ = ladder_run
    data = make_config("tiny_joint", folder / "model").data
    return open_splits(data, model=folder / "model", cache=folder / "latents", device=CPU)["train"]


@pytest.fixture(scope="module")
def clips(source):
    return source.batch(range(10))


class Watch:
    """What the model is given in a step."""

    def __init__(self, stage: JointStage) -> None:
        self.stage = stage
        for name, model in stage.models.items():
            model.register_forward_pre_hook(lambda _, *call, name=name: self._note(name, *call), with_kwargs=True)

    def _note(self, expert, args, kwargs):
        self.expert, self.use_bridge = expert, kwargs["use_bridge"]
        self.video, self.audio, self.video_time, self.audio_time, self.prompts = args
        self.mask, self.condition = self.video[:, 16:20], self.video[:, 20:]

    def step(self, number=0):
        with torch.no_grad():
            self.parts = next(iter(self.stage.losses(number, 0.0)))
        return self


def test_without_dropouts_every_sample_keeps_its_text_its_frames_and_the_bridge(make_joint, clips):
    stage = make_joint("text_dropout=0", "image_dropout=0", "bridge_dropout=0", "run.batch_size=16")
    seen = Watch(stage).step()
    assert seen.use_bridge
    for prompt, condition, mask in zip(seen.prompts, seen.condition, seen.mask, strict=True):
        rows = [i for i in range(10) if torch.equal(condition, clips.condition[i])]
        assert any(torch.equal(prompt, clips.prompts[i]) for i in rows)
        assert any(torch.equal(mask[:, :, 0, 0], clips.mask[i]) for i in rows)
        assert (mask == mask[:, :, :1, :1]).all()
    assert {"loss", "audio"} <= seen.parts.keys()


def test_dropped_text_is_the_empty_prompt(make_joint, source):
    seen = Watch(make_joint("text_dropout=0.999", "run.batch_size=16")).step()
    assert all(torch.equal(prompt, source.null_prompt) for prompt in seen.prompts)


def test_the_share_of_dropped_text_is_the_recipes(make_joint, source):
    seen = Watch(make_joint("text_dropout=0.3", "run.batch_size=128")).step()
    share = sum(torch.equal(prompt, source.null_prompt) for prompt in seen.prompts) / 128
    assert 0.15 < share < 0.45


def test_half_of_the_dropped_images_are_nothing_and_half_a_white_frame(make_joint, source):
    seen = Watch(make_joint("image_dropout=0.999", "run.batch_size=64")).step()
    first_only = torch.zeros(4, 5)
    first_only[:, 0] = 1
    kinds = []
    for condition, mask in zip(seen.condition, seen.mask, strict=True):
        if torch.equal(condition, source.white_condition(0)):
            assert torch.equal(mask[:, :, 0, 0], first_only)
            kinds.append("white")
        else:
            assert not condition.any()
            assert not mask.any()
            kinds.append("none")
    assert 0.3 < kinds.count("white") / 64 < 0.7


def test_without_the_bridge_the_towers_run_apart(make_joint):
    stage = make_joint("bridge_dropout=0.999")
    seen = Watch(stage).step()
    assert not seen.use_bridge
    assert "audio_apart" in seen.parts
    next(iter(stage.losses(0, 0.0)))["loss"].backward()
    assert all(p.grad is None for p in stage.components["dual_tower_bridge"].parameters())
    assert any(p.grad is not None for p in stage.components["audio_dit"].parameters())


def test_the_bridge_is_left_out_in_its_share_of_steps(make_joint):
    seen = Watch(make_joint("bridge_dropout=0.5", "run.batch_size=1"))
    used = [seen.step(number).use_bridge for number in range(30)]
    assert 6 <= sum(used) <= 24


def test_each_step_trains_the_expert_whose_turn_it_is_in_its_own_range(make_joint):
    stage = make_joint("expert_cycle=[high_noise, low_noise, low_noise]", "boundary_ratio=0.9", "run.batch_size=32")
    seen = Watch(stage)
    for number, expected in enumerate(["high_noise", "low_noise", "low_noise", "high_noise"]):
        seen.step(number)
        assert seen.expert == expected
        assert f"video_{expected}" in seen.parts
        if expected == "high_noise":
            assert seen.video_time.min() >= 900
        else:
            assert seen.video_time.max() <= 900
    next(iter(stage.losses(0, 0.0)))["loss"].backward()
    experts = {name: stage.components[name] for name in ("video_dit", "video_dit_2")}
    gradients = {name: any(p.grad is not None for p in tower.parameters()) for name, tower in experts.items()}
    assert gradients == {"video_dit": True, "video_dit_2": False}


def test_other_known_frames_than_the_first_are_learned_with_their_shares(make_joint, more_cache):
    changes = ("image_dropout=0.2", "conditions={last_frame: 0.4, prefix: 0.4}", "run.batch_size=64")
    seen = Watch(make_joint(*changes, cache=more_cache)).step()
    kinds = []
    for condition, mask in zip(seen.condition, seen.mask[..., 0, 0], strict=True):
        assert bool(condition.any()) == bool(mask.any())
        whole = mask.sum(0) == 4
        kinds.append("last" if not whole[0] and mask[-1, -1] else "prefix" if whole[1] else "none or white")
        assert mask.sum() == {"last": 1, "prefix": 4 * int(whole.sum())}.get(kinds[-1], 4 * int(whole[0]))
    assert {kind: kinds.count(kind) / 64 for kind in set(kinds)} == pytest.approx(
        {"last": 0.4, "prefix": 0.4, "none or white": 0.2}, abs=0.15
    )


def test_a_held_modality_is_clean_and_has_no_loss_and_no_gradient_of_its_own(make_joint):
    changes = ("conditions.{}_held=1.0", "bridge_dropout=0", "expert_cycle=[high_noise, low_noise]", "text_dropout=0")
    for held, other in (("audio", "video"), ("video", "audio")):
        stage = make_joint(changes[0].format(held), *changes[1:])
        seen = Watch(stage)
        # The turn of the expert that owns low noise: the only one that a video is held by.
        parts = next(iter(stage.losses(1, 0.0)))
        losses = {"audio": parts["audio"], "video": parts["video_low_noise"]}
        assert losses[held].item() == 0.0
        assert losses[other].item() > 0.0
        assert getattr(seen, f"{held}_time").eq(0).all()
        assert getattr(seen, f"{other}_time").gt(0).all()
        clean = stage.data.train.batch(stage.data.parts.sampler.indices(1))
        given = {"video": seen.video[:, :16], "audio": seen.audio}
        assert torch.equal(given[held], getattr(clean, held))
        losses[held].backward(retain_graph=True)
        assert all(not p.grad.any() for one in stage.modules.values() for p in one.parameters() if p.grad is not None)
        parts["loss"].backward()
        learned = stage.components[{"audio": "audio_dit", "video": "video_dit_2"}[other]]
        assert any(p.grad is not None and p.grad.any() for p in learned.parameters())


def test_a_video_is_not_held_where_it_is_the_high_noise_experts_turn(make_joint):
    seen = Watch(make_joint("conditions.video_held=1.0", "expert_cycle=[high_noise, low_noise]")).step(0)
    assert seen.video_time.min() >= 900
    assert float(seen.parts["video_high_noise"]) > 0


def test_an_audio_alone_is_learned_beside_noise(make_joint):
    seen = Watch(make_joint("conditions.audio_only=1.0", "bridge_dropout=0")).step(0)
    assert seen.expert == "high_noise"
    assert seen.video_time.eq(1000).all()
    assert float(seen.parts["video_high_noise"]) == 0.0
    assert float(seen.parts["audio"]) > 0


def test_means_are_of_the_samples_that_are_learned_from(make_joint):
    stage = make_joint("conditions.audio_held=0.5", "run.batch_size=16")
    draws = draw_step(stage.settings, 16, step_generator(stage.config.run.seed, 1))
    counts = stage.data.parts.counts(1, draws)
    assert counts.video == 16
    assert 0 < counts.audio == int(draws.audio_learned.sum()) < 16


def test_picture_and_sound_have_noise_levels_of_their_own(make_joint):
    seen = Watch(make_joint("run.batch_size=128", "expert_cycle=[low_noise, high_noise]")).step()
    together = torch.corrcoef(torch.stack((seen.video_time, seen.audio_time)))[0, 1]
    assert abs(float(together)) < 0.3
    assert seen.audio_time.min() < 100
    assert seen.audio_time.max() > 900


def test_one_time_for_both_can_be_chosen_each_with_its_shift(make_joint):
    changes = ("independent_timesteps=false", "run.batch_size=32")
    seen = Watch(make_joint(*changes, "video_shift=3", "audio_shift=3")).step()
    torch.testing.assert_close(seen.audio_time, seen.video_time, rtol=1e-4, atol=1e-2)
    seen = Watch(make_joint(*changes, "video_shift=3", "audio_shift=1")).step(1)
    sigma, time = seen.video_time / 1000, seen.audio_time / 1000
    torch.testing.assert_close(3 * time / (1 + 2 * time), sigma, rtol=1e-4, atol=1e-5)


def test_new_towers_begin_by_predicting_nothing(make_joint, clips):
    """A silent head: the first video loss is the mean square of noise minus clean."""
    seen = Watch(make_joint("run.batch_size=32")).step()
    expected = 1 + float(clips.video.square().mean())
    assert float(seen.parts["video_high_noise"]) == pytest.approx(expected, rel=0.1)


def test_the_bridge_learns_at_twice_the_base_rate_and_everything_is_trained_once(make_joint):
    stage = make_joint("bridge_lr_scale=2.0")
    groups = {group.name: group for group in stage.parameter_groups()}
    assert {name for name, group in groups.items() if group.lr_scale == 2.0} == {"bridge"}
    assert all(group.lr_scale == 1.0 for name, group in groups.items() if name != "bridge")
    members = [id(p) for group in groups.values() for p in group.parameters]
    assert sorted(members) == sorted(id(p) for module in stage.modules.values() for p in module.parameters())
    assert not groups["high_noise ends"].matrices


def test_the_audio_tower_of_the_stage_before_is_where_the_joint_model_begins(make_joint, ladder_run):
    state = make_joint("start.audio_dit=model").components["audio_dit"].state_dict()
    fresh = make_joint("start.audio_dit=new").components["audio_dit"].state_dict()
    # The ladder's joint stage has written over the component, so this is that tower after two more steps.
    stored = load_component(ladder_run[0] / "model" / "audio_dit").state_dict()
    assert all(torch.equal(state[key], stored[key]) for key in state)
    assert any(not torch.equal(fresh[key], stored[key]) for key in state)


def test_the_loss_follows_from_seed_and_step(make_joint):
    stage = make_joint()
    losses = []
    for step, noise in ((4, 1), (4, 2), (7, 1)):
        torch.manual_seed(noise)
        with torch.no_grad():
            losses.append(next(iter(stage.losses(step, 0.0)))["loss"].item())
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize("conditions", ["{}", "{keyframes: 0.5, video_held: 0.4, audio_held: 0.4}"])
def test_a_resumed_joint_run_ends_as_the_uninterrupted_one(make_joint, tmp_path, more_cache, conditions):
    """The states after the first step are lost, as in a power cut; the steps are done again."""
    stages = []
    more = (f"conditions={conditions}", "image_dropout=0.2")
    for folder in ("straight", "resumed"):
        states = ("run.max_steps=3", "run.checkpoint_every_s=1e-9", "run.keep_checkpoints=5")
        stage = make_joint(*states, *more, cache=more_cache)
        stage.export = lambda: None
        stages.append(stage)
        trainer = Trainer(stage, stage.config.run, stage.config.optimizer, tmp_path / folder)
        trainer.run()
        assert trainer.step == 3
        state = tmp_path / "straight" / "checkpoints" / "step_00000001"
        (tmp_path / "resumed" / "checkpoints").mkdir(parents=True, exist_ok=True)
        if folder == "straight":
            state.rename(tmp_path / "resumed" / "checkpoints" / state.name)
    assert '"resume"' in (tmp_path / "resumed" / "log.jsonl").read_text()
    for name, module in stages[0].modules.items():
        resumed = stages[1].modules[name].state_dict()
        for key, value in module.state_dict().items():
            assert torch.equal(value, resumed[key]), f"{name} {key}"


def test_frozen_components_keep_their_weights_and_are_exported_too(make_joint, tmp_path, ladder_run):
    stage = make_joint(
        "trainable=[dual_tower_bridge]", "bridge_dropout=0", "start.video_dit=model", "start.video_dit_2=model"
    )
    stage.config = stage.config.model_copy(update={"model": tmp_path / "model"})
    before = {name: one.state_dict() for name, one in stage.components.items()}
    before = {name: {key: value.clone() for key, value in state.items()} for name, state in before.items()}
    Trainer(stage, stage.config.run, stage.config.optimizer, tmp_path / "log").run()
    for name, state in before.items():
        after = load_component(tmp_path / "model" / name).state_dict()
        assert all(torch.equal(state[key], after[key]) for key in state) == (name != "dual_tower_bridge"), name


def test_micro_batches_make_the_gradients_of_the_whole_batch(make_joint):
    gradients, losses = [], []
    for micro in ("null", "2", "1"):
        stage = make_joint("run.batch_size=6", f"run.micro_batch={micro}", "bridge_dropout=0")
        parts = list(stage.losses(3, 0.0))
        for part in parts:
            part["loss"].backward()
        losses.append(sum(float(part["loss"].detach()) for part in parts))
        gradients.append([p.grad for module in stage.modules.values() for p in module.parameters()])
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)
    for other in gradients[1:]:
        for mine, theirs in zip(gradients[0], other, strict=True):
            assert (mine is None) == (theirs is None)
            if mine is not None:
                torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-6)


def test_a_weight_changes_the_loss_and_not_what_is_logged(make_joint):
    plain, snr, bell = (
        next(iter(make_joint(f"weighting={name}", "bridge_dropout=0").losses(1, 0.0)))
        for name in ("none", "min_snr", "bell")
    )
    assert float(snr["loss"].detach()) < 0.5 * float(plain["loss"].detach())
    assert len({float(one["loss"].detach()) for one in (plain, snr, bell)}) == 3
    assert len({float(one["video_low_noise"].detach()) for one in (plain, snr, bell)}) == 1


def test_validation_holds_the_gauge_in_both_directions(make_joint):
    with torch.no_grad():
        figures = make_joint().validate()
    assert {
        f"{one}_error_given_{which}_{other}"
        for which in ("right", "wrong")
        for one, other in (("audio", "video"), ("video", "audio"))
    } <= set(figures)
    assert all(value > 0 for value in figures.values())


def test_matrix_products_are_computed_in_what_the_recipe_says(make_joint):
    """A CPU that is not asked computes in float32; in bfloat16 the losses differ, by no more than its rounding."""
    losses = {}
    start = "start={video_dit: mova-tiny, video_dit_2: mova-tiny, audio_dit: mova-tiny, dual_tower_bridge: mova-tiny}"
    for compute in ("auto", "float32", "bfloat16"):
        with torch.no_grad():
            losses[compute] = next(iter(make_joint(start, f"run.compute={compute}").losses(0, 0.0)))["loss"]
    assert losses["auto"].equal(losses["float32"])
    assert not losses["bfloat16"].equal(losses["float32"])
    torch.testing.assert_close(losses["bfloat16"], losses["float32"], rtol=0.02, atol=0)
