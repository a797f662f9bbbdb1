"""The objective against values worked out by hand."""

import pytest
import torch

from mova.train.steps.objective import Draws, JointLoss, SampleCounts, TrainingBatch, joint_loss
from mova.types import LatentPair, Velocities

B, C, T, H, W, A, P = 2, 2, 3, 2, 2, 5, 4


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def batch():
    clean = LatentPair(random(B, C, T, H, W, seed=0), random(B, C, A, seed=1))
    return TrainingBatch(clean, random(B, 4 + C, T, H, W, seed=2), random(B, P, 6, seed=3))


def draws(video_sigma=(0.25, 0.75), audio_sigma=(0.5, 0.1)):
    noise = LatentPair(random(B, C, T, H, W, seed=4), random(B, C, A, seed=5))
    return Draws(noise, torch.tensor(video_sigma), torch.tensor(audio_sigma))


def test_the_model_sees_noisy_latents_with_their_own_levels_and_the_condition(batch):
    seen = {}

    def forward(video, audio, video_time, audio_time, prompts):
        seen.update(video=video, audio=audio, video_time=video_time, audio_time=audio_time, prompts=prompts)
        return Velocities(video[:, :C], audio)

    drawn = draws()
    joint_loss(forward, batch, drawn)
    torch.testing.assert_close(seen["video"][0, :C], 0.75 * batch.clean.video[0] + 0.25 * drawn.noise.video[0])
    torch.testing.assert_close(seen["video"][1, :C], 0.25 * batch.clean.video[1] + 0.75 * drawn.noise.video[1])
    torch.testing.assert_close(seen["audio"][1], 0.9 * batch.clean.audio[1] + 0.1 * drawn.noise.audio[1])
    assert torch.equal(seen["video"][:, C:], batch.condition)
    assert torch.equal(seen["prompts"], batch.prompt_embeds)
    torch.testing.assert_close(seen["video_time"], torch.tensor([250.0, 750.0]))
    torch.testing.assert_close(seen["audio_time"], torch.tensor([500.0, 100.0]))


def test_a_perfect_prediction_costs_nothing_and_an_offset_its_square(batch):
    drawn = draws()
    video, audio = drawn.noise.video - batch.clean.video, drawn.noise.audio - batch.clean.audio
    offset = torch.tensor([1.0, 3.0]).view(B, 1, 1)
    losses = joint_loss(lambda *_: Velocities(video, audio + offset), batch, drawn)
    assert losses.video.tolist() == [0.0, 0.0]
    torch.testing.assert_close(losses.audio, torch.tensor([1.0, 9.0]))


def test_predicting_nothing_costs_the_mean_square_of_the_target(batch):
    drawn = draws()
    losses = joint_loss(lambda video, audio, *_: Velocities(0 * video[:, :C], 0 * audio), batch, drawn)
    expected = [float(((drawn.noise.video[i] - batch.clean.video[i]) ** 2).mean()) for i in range(B)]
    assert losses.video.tolist() == pytest.approx(expected)


def test_the_audio_level_does_not_touch_the_video(batch):
    def forward(video, audio, *_):
        return Velocities(video[:, :C], audio)

    one, other = (joint_loss(forward, batch, draws(audio_sigma=levels)) for levels in ((0.5, 0.1), (0.9, 0.2)))
    assert torch.equal(one.video, other.video)
    assert not torch.equal(one.audio, other.audio)


def test_only_what_counts_is_compared():
    """A clip that ends early, one without sound, one without a picture."""
    batch = TrainingBatch(
        clean=LatentPair(torch.zeros(3, C, T, H, W), torch.zeros(3, C, A)),
        condition=torch.zeros(3, 4 + C, T, H, W),
        prompt_embeds=torch.zeros(3, P, 6),
        video_counted=torch.tensor([[1.0, 1, 0], [1, 1, 1], [0, 0, 0]]),
        audio_counted=torch.tensor([[1.0, 1, 1, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]]),
    )
    level = torch.full((3,), 0.5)
    drawn = Draws(LatentPair(torch.zeros(3, C, T, H, W), torch.zeros(3, C, A)), level, level)
    frames = torch.tensor([1.0, 2.0, 100.0]).view(1, 1, T, 1, 1).expand(3, C, T, H, W)
    steps = torch.tensor([1.0, 1.0, 4.0, 100.0, 100.0]).view(1, 1, A).expand(3, C, A)
    losses = joint_loss(lambda *_: Velocities(frames, steps), batch, drawn)
    assert losses.video.tolist() == pytest.approx([(1 + 4) / 2, (1 + 4 + 10_000) / 3, 0.0])
    assert losses.audio.tolist() == pytest.approx([(1 + 1 + 16) / 3, 0.0, (1 + 1 + 16 + 20_000) / 5])


def test_parts_of_a_step_add_up_to_its_means():
    """Four samples, of which one has no sound, in two parts."""
    counts = SampleCounts(video=4, audio=3)
    first = counts.share(JointLoss(torch.tensor([1.0, 2.0]), torch.tensor([6.0, 0.0])))
    second = counts.share(JointLoss(torch.tensor([3.0, 6.0]), torch.tensor([9.0, 3.0])))
    assert float(first.video + second.video) == pytest.approx(3.0)
    assert float(first.audio + second.audio) == pytest.approx(6.0)


def test_weights_multiply_each_sample_and_nothing_divides_by_nothing():
    counts = SampleCounts(video=2, audio=0)
    weights = JointLoss(torch.tensor([0.5, 2.0]), torch.ones(2))
    share = counts.share(JointLoss(torch.tensor([4.0, 1.0]), torch.zeros(2)), weights)
    assert (float(share.video), float(share.audio)) == (2.0, 0.0)
