"""The loop: exact resuming, what is saved and what never is."""

import json
import signal
import threading

import pytest
import torch
from torch import nn

from mova.errors import CheckpointError, ConfigError, DataError, NumericalError
from mova.train.loop.checkpoint import StoredState, list_states, newest_state
from mova.train.loop.trainer import choose_device, noise_generator, step_generator

CPU = torch.device("cpu")


def interrupt_at(trainer, step):
    def stop(now):
        if now == step:
            raise KeyboardInterrupt

    trainer.stage.before_step = stop


def weights_of(trainer):
    return [p.detach().clone() for p in trainer.optimizer.parameters] + [*trainer.average.shadow]


def assert_same(one, other):
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(one, other, strict=True))


def events(trainer):
    return [json.loads(line) for line in (trainer.folder / "log.jsonl").read_text().splitlines()]


def weight_in(state):
    weight = torch.empty(1, 2)
    state.read_into({"modules/layer/weight": weight})
    return weight


def test_training_moves_the_weights_to_the_solution_and_says_so(make_line_trainer):
    trainer = make_line_trainer(max_steps=300)
    figures = trainer.run()
    assert figures["slope"] == pytest.approx(2.0, abs=0.05)
    losses = [event["loss"] for event in events(trainer) if event["event"] == "train"]
    assert losses[-1] < 0.01 * losses[0]


def test_an_interrupted_run_ends_as_the_uninterrupted_one(make_line_trainer):
    straight = make_line_trainer("straight")
    straight.run()
    first = make_line_trainer("resumed")
    interrupt_at(first, 7)
    with pytest.raises(KeyboardInterrupt):
        first.run()
    assert first.stage.exported is None
    second = make_line_trainer("resumed")
    second.run()
    assert [step for step, _ in second.stage.calls] == list(range(7, 20))
    assert [*first.stage.calls, *second.stage.calls] == straight.stage.calls
    assert_same(weights_of(second), weights_of(straight))
    assert {"event": "resume", "step": 7}.items() <= events(second)[7].items()


def test_a_run_without_any_word_goes_on_from_the_newest_state(make_line_trainer):
    """As after a power cut: the steps after the last state are done again."""
    straight = make_line_trainer("straight")
    straight.run()
    first = make_line_trainer("cut", checkpoint_every_s=1e-9, keep_checkpoints=20)
    first.run()
    for state in list_states(first.folder / "checkpoints")[12:]:
        (state / "state.json").unlink()
    second = make_line_trainer("cut")
    second.run()
    assert second.stage.calls[0][0] == 12
    assert_same(weights_of(second), weights_of(straight))


def test_an_interrupt_in_the_middle_of_an_update_waits_for_its_end(make_line_trainer):
    straight = make_line_trainer("straight")
    straight.run()
    first = make_line_trainer("resumed")
    after: list[int] = []

    def strike(*_):
        if first.step == 5 and not after:
            signal.raise_signal(signal.SIGINT)
            after.append(first.step)  # only reached where the interrupt was held back

    first.optimizer.optimizers[0].register_step_post_hook(strike)
    former = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        first.run()
    assert signal.getsignal(signal.SIGINT) is former
    assert after == [5]
    assert newest_state(first.folder / "checkpoints").step == 6
    second = make_line_trainer("resumed")
    second.run()
    assert_same(weights_of(second), weights_of(straight))


def test_training_works_outside_the_main_thread(make_line_trainer):
    trainer = make_line_trainer()
    thread = threading.Thread(target=trainer.run)
    thread.start()
    thread.join()
    assert trainer.step == 20


def test_what_is_exported_is_the_average_and_the_weights_come_back(make_line_trainer):
    trainer = make_line_trainer()
    trainer.run()
    assert torch.equal(trainer.stage.exported, trainer.average.shadow[0])
    assert not torch.equal(trainer.stage.exported, trainer.stage.layer.weight)
    assert torch.equal(weight_in(newest_state(trainer.folder / "checkpoints")), trainer.stage.layer.weight)


def test_without_an_average_the_weights_are_exported(make_line_trainer):
    trainer = make_line_trainer(ema_decay=0.0)
    trainer.run()
    assert torch.equal(trainer.stage.exported, trainer.stage.layer.weight)


def test_an_average_that_is_switched_on_later_begins_with_the_weights(make_line_trainer):
    first = make_line_trainer(ema_decay=0.0)
    interrupt_at(first, 10)
    with pytest.raises(KeyboardInterrupt):
        first.run()
    second = make_line_trainer(ema_decay=0.9)
    interrupt_at(second, 10)
    with pytest.raises(KeyboardInterrupt):
        second.run()
    assert torch.equal(second.average.shadow[0], first.stage.layer.weight)


def test_a_loss_that_is_not_a_number_stops_the_run_and_the_last_good_state_stays(make_line_trainer):
    trainer = make_line_trainer(bad_step=9, checkpoint_every_s=1e-9)
    text = r"line left the finite numbers by step 10: .*at step 9, on the samples drawn for step 9; .*step_00000009"
    with pytest.raises(NumericalError, match=text):
        trainer.run()
    state = newest_state(trainer.folder / "checkpoints")
    assert state.step == 9
    assert weight_in(state).isfinite().all()
    assert trainer.stage.exported is None


@pytest.mark.parametrize("checkpoint_every_s", [1e-9, 1e9])
def test_bad_weights_are_never_saved_between_two_lines_of_the_log(make_line_trainer, checkpoint_every_s):
    trainer = make_line_trainer(bad_step=9, log_every=1000, checkpoint_every_s=checkpoint_every_s)
    with pytest.raises(NumericalError, match="weights"):
        trainer.run()
    for path in list_states(trainer.folder / "checkpoints"):
        assert weight_in(StoredState(path)).isfinite().all()


def test_states_of_another_model_are_refused(make_line_trainer):
    make_line_trainer().run()
    other = make_line_trainer()
    other.state.modules = {"layer": nn.Linear(3, 1)}
    with pytest.raises(CheckpointError, match=r"must hold modules/layer/weight of \[1, 3\], it holds one of \[1, 2\]"):
        other.run()


def test_data_that_changed_is_refused_before_anything_is_read(make_line_trainer):
    first = make_line_trainer()
    first.stage.position = lambda step: {"clips": "these", "step": step}
    first.run()
    other = make_line_trainer(max_steps=30)

    def refuse(position):
        raise DataError(f"not {position['clips']}")

    other.stage.resume_at = refuse
    with pytest.raises(DataError, match="not these"):
        other.run()
    assert other.stage.calls == []


def test_states_can_be_counted_in_steps(make_line_trainer):
    trainer = make_line_trainer(checkpoint_every=7, keep_checkpoints=9)
    trainer.run()
    assert [state.name for state in list_states(trainer.folder / "checkpoints")] == [
        f"step_{step:08d}" for step in (7, 14, 20)
    ]


def test_micro_batches_add_up_to_the_step(make_line_trainer):
    """A step in four parts of its loss ends with the weights of the step in one part."""
    straight, split = make_line_trainer("straight"), make_line_trainer("split")
    plain = split.stage.losses

    def in_parts(step, progress):
        for _ in range(4):
            yield {name: value / 4 for name, value in next(iter(plain(step, progress))).items()}

    split.stage.losses = in_parts
    straight.run()
    split.run()
    for one, other in zip(weights_of(straight), weights_of(split), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    one, other = ([event["loss"] for event in events(run) if event["event"] == "train"] for run in (straight, split))
    assert other == pytest.approx(one, rel=1e-3)


def test_progress_counts_the_steps_of_the_recipe_also_after_resuming(make_line_trainer):
    shown = []
    first = make_line_trainer(on_progress=shown.append)
    interrupt_at(first, 7)
    with pytest.raises(KeyboardInterrupt):
        first.run()
    make_line_trainer(on_progress=shown.append).run()
    assert [(one.step, one.total) for one in shown] == [(step, 20) for step in range(1, 21)]
    logged = [event["progress"] for event in events(first) if event["event"] == "train"]
    assert logged == pytest.approx([step / 20 for step in range(1, 21)], abs=1e-3)
    assert [one.minutes for one in shown] == sorted(one.minutes for one in shown)
    assert shown[0].samples_per_second == 0
    assert all(0 < one.samples_per_second < 1e7 for one in shown[1:7])


def test_a_limit_in_minutes_ends_the_run_and_sets_the_schedule(make_line_trainer):
    shown = []
    trainer = make_line_trainer(max_steps=10**6, max_minutes=0.003, on_progress=shown.append)
    trainer.run()
    assert 0.003 <= trainer.trained_s / 60 < 0.05
    assert trainer.step < 10**5
    assert trainer.stage.calls[-1][1] > 0.5
    assert all(one.step <= one.total for one in shown)
    assert shown[-1].total <= 2 * trainer.step + 10


def test_training_time_goes_on_after_resuming(make_line_trainer):
    limit = {"max_steps": 10**6, "max_minutes": 0.003}
    make_line_trainer(**limit).run()
    again = make_line_trainer(**limit)
    again.run()
    assert again.stage.calls == []


def test_validations_come_at_their_interval_and_once_at_the_end(make_line_trainer):
    trainer = make_line_trainer(validate_every=8)
    trainer.run()
    assert [event["step"] for event in events(trainer) if event["event"] == "validate"] == [8, 16, 20]


def test_draws_follow_from_seed_and_step_alone():
    def draw(generator):
        return torch.rand(4, generator=generator).tolist()

    assert draw(step_generator(1, 5)) == draw(step_generator(1, 5))
    streams = [step_generator(seed, step) for seed in range(3) for step in range(50)]
    streams += [noise_generator(seed, step, CPU) for seed in range(3) for step in range(50)]
    assert len({tuple(draw(stream)) for stream in streams}) == 300


@pytest.mark.skipif(torch.cuda.is_available(), reason="the device is there")
def test_an_absent_device_is_an_error_unless_it_is_left_open():
    assert choose_device("auto") == CPU
    with pytest.raises(ConfigError, match="use cpu or auto"):
        choose_device("cuda")


def test_the_log_has_the_learning_rate_of_each_step(make_line_trainer):
    trainer = make_line_trainer(max_steps=6, lr=0.3)
    trainer.run()
    rates = [event["lr"] for event in events(trainer) if event["event"] == "train"]
    # Three steps of warm-up, then the last 30 % of the run falling.
    assert rates[:3] == pytest.approx([0.1, 0.2, 0.3], rel=1e-3)
    assert rates == [event["lr"] for event in events(trainer) if "loss" in event]
    assert 0 < rates[-1] < 0.3
