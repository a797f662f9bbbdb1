"""Repeated additions of video blocks: off is exact, the decision is the first block's, the sound is always computed."""

import pytest
import torch

from mova.errors import ConfigError
from mova.generate.step_cache import StepCache
from mova.models.dual_tower import DualTower


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


def test_a_threshold_of_zero_computes_everything(joint, call):
    plain = [call(level) for level in (900.0, 899.0, 898.0)]
    with StepCache([joint], 0.0) as cache:
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
    with StepCache([joint], 1e9, most=2) as cache:
        skipped = []
        for _ in range(7):
            before = cache.repeated
            cache.begin("high_noise", ("one", "other"))
            call()
            skipped.append(cache.repeated - before)
    # Two branches share each call.
    assert skipped == [0, 2, 2, 0, 2, 2, 0]


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


@pytest.mark.parametrize(("threshold", "most", "text"), [(-1.0, 1, "0 or more"), (0.1, 0, "1 or more, got 0")])
def test_wrong_values_are_explained(joint, threshold, most, text):
    with pytest.raises(ConfigError, match=text):
        StepCache([joint], threshold, most)
