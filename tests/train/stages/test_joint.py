"""Both towers and the bridge: draws, dropouts, experts, exact resuming."""

import json

import pytest
import torch

from mova.models.convert import load_component
from mova.train.stages.joint import AudioTowerStage, JointStage
from mova.train.stages.latents import load_latents
from mova.train.trainer import Trainer

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def make_joint(make_config, ladder_run):
    """Return a function that makes the joint stage on the ladder's latents."""
    folder, _ = ladder_run

    def make(*changes):
        return JointStage(make_config("tiny_joint", folder / "model", *changes), folder / "latents")

    return make


@pytest.fixture(scope="module")
def clips(ladder_run):
    return load_latents(ladder_run[0] / "latents", "train", 10, CPU)


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


def test_dropped_text_is_the_empty_prompt(make_joint, clips):
    seen = Watch(make_joint("text_dropout=0.999", "run.batch_size=16")).step()
    assert all(torch.equal(prompt, clips.null_prompt) for prompt in seen.prompts)


def test_the_share_of_dropped_text_is_the_recipes(make_joint, clips):
    seen = Watch(make_joint("text_dropout=0.3", "run.batch_size=128")).step()
    share = sum(torch.equal(prompt, clips.null_prompt) for prompt in seen.prompts) / 128
    assert 0.15 < share < 0.45


def test_half_of_the_dropped_images_are_nothing_and_half_a_white_frame(make_joint, clips):
    seen = Watch(make_joint("image_dropout=0.999", "run.batch_size=64")).step()
    first_only = torch.zeros(4, 5)
    first_only[:, 0] = 1
    kinds = []
    for condition, mask in zip(seen.condition, seen.mask, strict=True):
        if torch.equal(condition, clips.white_condition):
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
    assert all(p.grad is None for p in stage.bridge.parameters())
    assert any(p.grad is not None for p in stage.audio.parameters())


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
    gradients = {name: any(p.grad is not None for p in tower.parameters()) for name, tower in stage.experts.items()}
    assert gradients == {"high_noise": True, "low_noise": False}


def test_picture_and_sound_have_noise_levels_of_their_own(make_joint):
    seen = Watch(make_joint("run.batch_size=128", "expert_cycle=[low_noise]")).step()
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
    state = make_joint().audio.state_dict()
    fresh = make_joint("start_from_audio_tower=false").audio.state_dict()
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


def test_a_resumed_joint_run_ends_as_the_uninterrupted_one(make_joint, tmp_path):
    """The states after the first step are lost, as in a power cut; the steps are done again."""
    stages = []
    for folder in ("straight", "resumed"):
        stage = make_joint("run.max_steps=3", "run.checkpoint_every_s=1e-9", "run.keep_checkpoints=5")
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


def test_the_audio_tower_learns_alone(make_config, ladder_run, tmp_path):
    folder, _ = ladder_run
    config = make_config(
        "tiny_audio_tower",
        tmp_path / "model",
        "run.max_steps=25",
        "run.batch_size=8",
        "optimizer.lr=2e-3",
        "run.ema_decay=0.5",
        "optimizer.warmup_steps=3",
    )
    stage = AudioTowerStage(config, folder / "latents")
    after = Trainer(stage, config.run, config.optimizer, tmp_path / "log").run()
    barely_begun = json.loads((folder / "tiny_audio_tower" / "done.json").read_text())
    assert after["audio_error_0.95"] < 0.96 * barely_begun["audio_error_0.95"]
    exported = load_component(tmp_path / "model" / "audio_dit")
    assert torch.equal(exported.state_dict()["head.head.bias"], stage_average(stage, tmp_path / "log"))


def stage_average(stage, folder):
    """The averaged bias of the head in the run's last state."""
    state = torch.load(max((folder / "checkpoints").iterdir()) / "state.pt", weights_only=True)
    names = [name for name, _ in stage.tower.named_parameters()]
    ordered = [id(p) for group in stage.parameter_groups() for p in group.parameters]
    wanted = id(dict(stage.tower.named_parameters())["head.head.bias"])
    assert len(names) == len(ordered)
    return state["average"][ordered.index(wanted)]
