"""Repeated and forecast additions of video blocks: off is exact, the first block decides, the sound is computed."""

import pytest
import torch

from mova.errors import ConfigError
from mova.models.dual_tower import DualTower
from mova.pipeline.loop.step_cache import MOST_SKIPPED, StepCache


@pytest.fixture
def joint(pipe):
    return DualTower(pipe.video_dit, pipe.audio_dit, pipe.dual_tower_bridge)


@pytest.fixture
def call(joint):
    generator = torch.Generator().manual_seed(0)
    video, audio = torch.randn(2, 36, 2, 4, 4, generator=generator), torch.randn(2, 16, 11, generator=generator)
    text = torch.randn(2, 8, 32, generator=generator)

    def run(level=500.0, moved=0.0):
        times = torch.full((2,), level)
        with torch.no_grad():
            return joint(video + moved, audio + moved, times, times, text, frame_rate=24.0)

    return run


def same(one, other):
    return one.video.equal(other.video) and one.audio.equal(other.audio)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_a_threshold_of_zero_computes_everything(joint, call, order):
    plain = [call(level) for level in (900.0, 899.0, 898.0)]
    with StepCache([joint], 0.0, order=order) as cache:
        for number, level in enumerate((900.0, 899.0, 898.0)):
            cache.begin("high_noise", ("text",))
            assert same(call(level), plain[number])
    assert cache.repeated == 0


def test_what_barely_changed_is_repeated_and_what_changed_is_not(joint, call):
    with StepCache([joint], 0.05) as cache:
        for level in (900.0, 899.9, 300.0):
            cache.begin("high_noise", ("text",))
            call(level)
            if level == 900.0:
                assert cache.repeated == 0
    assert cache.repeated == 1


def test_a_repeated_call_with_the_same_inputs_gives_the_same_up_to_rounding(joint, call):
    exact = call()
    with StepCache([joint], 0.05) as cache:
        for _ in range(2):
            cache.begin("low_noise", ("text",))
            found = call()
    assert cache.repeated == 1
    torch.testing.assert_close(found.video, exact.video, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.audio, exact.audio, atol=1e-5, rtol=1e-4)


def test_the_sound_is_computed_at_every_call(joint, call):
    counted = {"video": 0, "audio": 0}
    towers = {"video": joint.video_tower, "audio": joint.audio_tower}
    handles = [
        block.ffn.register_forward_hook(lambda *_, name=name: counted.update({name: counted[name] + 1}))
        for name, tower in towers.items()
        for block in tower.blocks
    ]
    with StepCache([joint], 1e9) as cache:
        for _ in range(2):
            cache.begin("high_noise", ("text",))
            call()
    for handle in handles:
        handle.remove()
    # Of the second call only the first video block.
    assert counted == {"video": len(joint.video_tower.blocks) + 1, "audio": 2 * len(joint.audio_tower.blocks)}


def test_no_more_steps_in_a_row_are_skipped_than_allowed(joint, call):
    with StepCache([joint], 1e9) as cache:
        skipped = []
        for _ in range(7):
            before = cache.repeated
            cache.begin("high_noise", ("one", "other"), predictions=2)
            call()
            skipped.append(cache.repeated - before)
    # Two branches share each call.
    assert MOST_SKIPPED == 3
    assert skipped == [0, 2, 2, 2, 0, 2, 2]


def test_branches_and_experts_do_not_share_what_is_kept(joint, call):
    with StepCache([joint], 1e9) as cache:
        for expert, branch in (("high_noise", "text"), ("high_noise", "none"), ("low_noise", "text")):
            cache.begin(expert, (branch,))
            call()
        assert cache.repeated == 0
        kept = cache.size_bytes()
        cache.begin("low_noise", ("text",))
        call()
        assert cache.repeated == 1
        assert cache.size_bytes() == kept, "the other expert's additions are gone"


def test_afterwards_the_model_is_as_it_was(joint, call):
    plain = call()
    with StepCache([joint], 1e9) as cache:
        for _ in range(2):
            cache.begin("high_noise", ("text",))
            call(900.0)
    assert cache.size_bytes() == 0
    assert same(call(), plain)
    with StepCache([joint], 0.1), pytest.raises(RuntimeError, match="stop"):
        raise RuntimeError("stop")
    assert same(call(), plain)


def follow(cache, firsts, additions, module):
    """Go through steps whose additions are known; return what the cache makes of them, and which steps were full."""
    found, full = [], []
    for step, (first, addition) in enumerate(zip(firsts, additions, strict=True)):
        cache.begin("high_noise", ("text",))
        cache.decide(first)
        kept = cache.kept(module)
        full.append(step if kept is None else None)
        if kept is None:
            cache.keep(module, addition)
        found.append(addition if kept is None else kept)
    return found, [step for step in full if step is not None]


def polynomial(degree, steps=8):
    generator = torch.Generator().manual_seed(degree)
    factors = torch.randn(degree + 1, 2, 5, 3, generator=generator, dtype=torch.float64)
    return [sum(factor * float(step) ** power for power, factor in enumerate(factors)) for step in range(steps)]


@pytest.mark.parametrize("order", [1, 2])
def test_what_changes_by_a_polynomial_of_the_order_is_forecast_exactly_at_uneven_steps(joint, order):
    truth, module = polynomial(order, steps=12), joint.video_tower.blocks[1]
    with StepCache([joint], 1e-6, order=order) as cache:
        found, full = follow(cache, truth, truth, module)
    # Full until enough is known, then every fourth step: known steps are neighbours at first, and far apart later.
    assert full == {1: [0, 1, 5, 9], 2: [0, 1, 2, 6, 10]}[order]
    for one, other in zip(found, truth, strict=True):
        torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-9)


def test_the_error_of_the_first_block_s_forecast_decides(joint):
    line, module = polynomial(1), joint.video_tower.blocks[1]
    bent = [*line[:4], *(value + 10 for value in line[4:])]
    with StepCache([joint], 0.01, order=1) as cache:
        # Step 4 leaves the line through 0 and 1, and so does step 5 that through 1 and 4; from there on it is known.
        assert follow(cache, bent, line, module)[1] == [0, 1, 4, 5]
    with StepCache([joint], 0.01, order=0) as cache:
        assert follow(cache, line, line, module)[1] == list(range(8))


def test_with_fewer_full_steps_than_it_needs_a_forecast_takes_those_there_are(joint):
    truth, module = polynomial(2, steps=12), joint.video_tower.blocks[1]
    firsts = [torch.ones(2, 5, 3)] * 12
    made = {}
    for order in (0, 1, 2):
        with StepCache([joint], 0.1, order=order) as cache:
            made[order], full = follow(cache, firsts, truth, module)
        assert full == [0, 4, 8]
    # Step 1 knows one full step, step 5 two: every order repeats, then order 2 still does as order 1 does.
    assert made[0][1].equal(truth[0])
    assert made[1][1].equal(truth[0])
    assert made[2][1].equal(truth[0])
    assert made[2][5].equal(made[1][5])
    assert not made[1][5].equal(made[0][5])
    torch.testing.assert_close(made[2][9], truth[9])
    assert not torch.allclose(made[1][9], truth[9])


def test_order_0_adds_the_bits_of_the_last_full_step(joint):
    truth, module = polynomial(2), joint.video_tower.blocks[1]
    with StepCache([joint], 1e9, order=0) as cache:
        found, full = follow(cache, truth, truth, module)
    assert full == [0, 4]
    assert all(one.equal(truth[step // 4 * 4]) for step, one in enumerate(found))


def test_a_forecast_of_the_towers_comes_nearer_than_repetition(joint, call):
    # Close together: weights that no one trained follow the quickest waves of the time embedding.
    levels = [900.0 - 0.05 * step for step in range(10)]
    exact, errors = call(levels[-1]), []
    for order in (0, 1, 2):
        with StepCache([joint], 1e9, order=order) as cache:
            for level in levels:
                cache.begin("high_noise", ("text",))
                found = call(level)
        assert cache.repeated == 7
        errors.append(float((found.video - exact.video).norm() / exact.video.norm()))
    assert errors[1] < 0.5 * errors[0]
    assert 0 < errors[2] < errors[1]


@pytest.mark.parametrize("order", [0, 1, 2])
def test_what_is_kept_for_a_forecast_is_counted(joint, call, order):
    sizes = []
    with StepCache([joint], 0.0, order=order) as cache:
        for level in (900.0, 800.0, 700.0, 600.0):
            cache.begin("high_noise", ("text",))
            call(level)
            sizes.append(cache.size_bytes())
    assert sizes == [sizes[0] * min(step + 1, order + 1) for step in range(4)]
    tokens = 2 * 2 * 2 * 2 * joint.video_tower.config.dim * 4
    # All blocks, and what the picture hears at other layers than the first.
    heard = sum(int(name) > 0 for name, _ in joint.bridge.audio_to_video_conditioners.named_children())
    assert sizes[0] == tokens * (len(joint.video_tower.blocks) + heard)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"threshold": -1.0}, "0 or more"),
        ({"threshold": 0.1, "order": 3}, "order of the step cache must be 0, 1 or 2, got 3"),
    ],
)
def test_wrong_values_are_explained(joint, options, text):
    with pytest.raises(ConfigError, match=text):
        StepCache([joint], **options)
