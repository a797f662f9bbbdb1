"""The random part of a step."""

from dataclasses import replace

import pytest
import torch

from mova.diffusion.timesteps import expert_ranges
from mova.train.steps.draws import DrawSettings, draw_expert, draw_step, sample_noise

CPU = torch.device("cpu")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_shares_are_the_recipes():
    settings = DrawSettings(text_dropout=0.3, image_dropout=0.2)
    draws = draw_step(settings, 4000, generator())
    assert float(draws.no_text.float().mean()) == pytest.approx(0.3, abs=0.03)
    assert float(draws.no_image.float().mean()) == pytest.approx(0.1, abs=0.02)
    assert float(draws.white_image.float().mean()) == pytest.approx(0.1, abs=0.02)
    assert not (draws.no_image & draws.white_image).any()
    used = [draw_step(DrawSettings(bridge_dropout=0.25), 1, generator(seed)).use_bridge for seed in range(400)]
    assert sum(used) / 400 == pytest.approx(0.75, abs=0.07)


def test_levels_are_independent_unless_they_are_not():
    draws = draw_step(DrawSettings(video_shift=5, audio_shift=5), 4000, generator())
    assert abs(float(torch.corrcoef(torch.stack((draws.video_sigma, draws.audio_sigma)))[0, 1])) < 0.05
    shared = draw_step(DrawSettings(video_shift=5, audio_shift=1, independent=False), 100, generator())
    time = shared.audio_sigma
    torch.testing.assert_close(5 * time / (1 + 4 * time), shared.video_sigma, rtol=1e-4, atol=1e-5)


def test_only_the_videos_levels_stay_in_an_experts_range():
    draws = draw_step(DrawSettings(), 2000, generator(), expert_ranges(0.9)["high_noise"])
    assert draws.video_sigma.min() >= 0.9 - 1e-6
    assert draws.audio_sigma.min() < 0.05


def test_a_part_holds_the_draws_of_its_samples():
    draws = draw_step(DrawSettings(text_dropout=0.5), 8, generator())
    part = draws.part(slice(2, 5))
    assert torch.equal(part.video_sigma, draws.video_sigma[2:5])
    assert torch.equal(part.no_text, draws.no_text[2:5])
    assert part.use_bridge == draws.use_bridge


def test_experts_take_turns_or_are_drawn_by_their_share():
    cycle = ("high_noise", "low_noise", "low_noise")
    assert [draw_expert(cycle, step, 0.6, 0) for step in range(4)] == [*cycle, "high_noise"]
    drawn = [draw_expert("by_noise", step, 0.64, 0) for step in range(2000)]
    assert drawn.count("low_noise") / 2000 == pytest.approx(0.64, abs=0.03)
    assert drawn == [draw_expert("by_noise", step, 0.64, 0) for step in range(2000)]


def test_the_noise_of_a_sample_does_not_depend_on_who_draws_it():
    whole = sample_noise((3, 4), seed=1, step=7, places=range(6), stream="video", device=CPU)
    for place in range(6):
        alone = sample_noise((3, 4), seed=1, step=7, places=[place], stream="video", device=CPU)
        assert torch.equal(alone[0], whole[place])
    assert whole.unique().numel() == whole.numel()


@pytest.mark.parametrize("change", [{"seed": 2}, {"step": 8}, {"stream": "audio"}, {"places": [1]}])
def test_noise_changes_with_seed_step_place_and_stream(change):
    settings = {"seed": 1, "step": 7, "places": [0], "stream": "video", "device": CPU}
    assert not torch.equal(sample_noise((8,), **settings), sample_noise((8,), **settings | change))


def test_noise_is_standard_normal():
    noise = sample_noise((4000,), seed=0, step=0, places=range(10), stream="audio", device=CPU)
    assert abs(float(noise.mean())) < 0.02
    assert float(noise.std()) == pytest.approx(1.0, abs=0.02)


def test_draws_that_nothing_new_is_asked_of_are_the_numbers_that_they_always_were():
    settings = DrawSettings(text_dropout=0.5, image_dropout=0.4, bridge_dropout=0.3)
    draws = draw_step(settings, 3, generator(5), expert_ranges(0.9)["low_noise"])
    assert draws.tasks == ()
    assert draws.video_learned is draws.audio_learned is None
    draw = generator(5)
    numbers = [torch.rand(3, generator=draw), torch.rand(3, generator=draw), torch.rand((), generator=draw)]
    assert torch.equal(draws.no_text, numbers[0] < 0.5)
    assert torch.equal(draws.no_image, numbers[1] < 0.2)
    assert torch.equal(draws.white_image, (numbers[1] >= 0.2) & (numbers[1] < 0.4))
    both = draw_step(
        replace(settings, frames={"prefix": 0.5}, audio_held=0.5), 3, generator(5), expert_ranges(0.9)["low_noise"]
    )
    assert torch.equal(both.video_sigma, draws.video_sigma)
    assert torch.equal(both.no_image, draws.no_image)
    assert torch.equal(both.audio_sigma[both.audio_learned], draws.audio_sigma[both.audio_learned])


def test_known_frames_are_drawn_with_their_shares_and_never_beside_a_missing_first_frame():
    settings = DrawSettings(image_dropout=0.3, frames={"last_frame": 0.2, "keyframes": 0.1, "prefix": 0.25})
    draws = draw_step(settings, 4000, generator())
    shares = {task: draws.tasks.count(task) / 4000 for task in (None, *settings.frames)}
    assert shares == pytest.approx({None: 0.45, "last_frame": 0.2, "keyframes": 0.1, "prefix": 0.25}, abs=0.03)
    dropped = draws.no_image | draws.white_image
    assert all(task is None for task, gone in zip(draws.tasks, dropped.tolist(), strict=True) if gone)
    assert draws.part(slice(3, 9)).tasks == draws.tasks[3:9]


def test_held_modalities_are_clean_and_not_learned_and_a_video_is_held_by_the_low_noise_expert():
    settings = DrawSettings(audio_held=0.3, video_held=0.2, audio_only=0.25)
    low, high = (draw_step(settings, 4000, generator(), one) for one in reversed(expert_ranges(0.9).values()))
    for draws, video_sigma, share in ((low, 0.0, 0.2), (high, 1.0, 0.25)):
        assert torch.equal(draws.audio_sigma == 0, ~draws.audio_learned)
        assert float((~draws.audio_learned).float().mean()) == pytest.approx(0.3, abs=0.03)
        assert torch.equal(draws.video_sigma == video_sigma, ~draws.video_learned)
        assert float((~draws.video_learned).float().mean()) == pytest.approx(share, abs=0.03)
        assert (draws.video_learned | draws.audio_learned).all()
        part = draws.part(slice(3, 9))
        assert torch.equal(part.video_learned, draws.video_learned[3:9])
