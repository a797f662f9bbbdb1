"""Figures on held-out clips against cases worked out by hand."""

import pytest
import torch

from mova.train.steps.dependence import LEVELS, velocity_figures
from mova.train.steps.objective import TrainingBatch
from mova.types import LatentPair, Velocities

B, C, T, H, W, A = 3, 2, 2, 1, 1, 4


@pytest.fixture
def batch():
    video = torch.arange(B, dtype=torch.float32).view(B, 1, 1, 1, 1).expand(B, C, T, H, W)
    audio = torch.arange(B, dtype=torch.float32).view(B, 1, 1).expand(B, C, A)
    return TrainingBatch(LatentPair(video, audio), torch.zeros(B, 4 + C, T, H, W), torch.zeros(B, 5, 6))


def test_a_model_that_copies_the_other_modality_is_right_only_with_the_right_one(batch):
    """Each clip's picture and sound hold the same number: the other modality, where it is clean, tells it."""
    noise = LatentPair(torch.zeros(B, C, T, H, W), torch.zeros(B, C, A))
    asked = []

    def forward_of(expert):
        def forward(video, audio, video_time, audio_time, prompts):
            asked.append((expert, float(video_time[0]), float(audio_time[0])))
            heard, seen = audio.mean((1, 2)), video[:, :C].mean((1, 2, 3, 4))
            return Velocities(-heard.view(B, 1, 1, 1, 1).expand(B, C, T, H, W), -seen.view(B, 1, 1).expand(B, C, A))

        return forward

    figures = velocity_figures(forward_of, batch, noise, boundary_ratio=0.9)
    # Rolled by one, the clips 0, 1, 2 meet 2, 0, 1: the squares of their distances are 4, 1, 1.
    assert figures["audio_error_given_right_video"] == pytest.approx(0.0, abs=1e-6)
    assert figures["audio_error_given_wrong_video"] == pytest.approx(2.0, abs=1e-3)
    assert figures["video_error_given_right_audio"] == pytest.approx(0.0, abs=1e-6)
    assert figures["video_error_given_wrong_audio"] == pytest.approx(2.0, abs=1e-3)
    # At the same level both are scaled down by (1 - level): 0, 1 and 2 are missed by level times themselves.
    for level in LEVELS:
        assert figures[f"video_error_{level}"] == pytest.approx(5 / 3 * level**2, rel=1e-4)
    assert [expert for expert, *_ in asked[:3]] == ["low_noise", "low_noise", "high_noise"]
    assert [round(video) for _, video, _ in asked[3:]] == [0, 800, 0, 800]
    assert [round(audio) for _, _, audio in asked[3:]] == [800, 0, 800, 0]
