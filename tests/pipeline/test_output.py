import numpy as np
import pytest
import torch

from mova.errors import ConfigError
from mova.pipeline.output import MovaPipelineOutput, check_output_type, format_audio, format_frames


@pytest.fixture
def frames():
    levels = torch.randint(0, 256, (2, 3, 5, 4, 6), generator=torch.Generator().manual_seed(0))
    return levels.float() / 127.5 - 1


def output(frames, output_type):
    waveform = torch.linspace(-1, 1, 100).repeat(2, 1, 1)
    return MovaPipelineOutput(
        frames=format_frames(frames, output_type),
        audio=format_audio(waveform, output_type),
        sample_rate=16_000,
        frame_rate=24.0,
    )


@pytest.mark.parametrize("output_type", ["pil", "np", "pt"])
def test_every_form_gives_the_same_clip(frames, output_type):
    clip = output(frames, output_type).clip(1)
    expected = ((frames[1] + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 3, 0).numpy()
    assert np.array_equal(clip.frames, expected)
    assert clip.waveform.shape == (1, 100)
    assert (clip.frame_rate, clip.sample_rate) == (24.0, 16_000)


def test_fields_are_reached_by_name_and_by_place(frames):
    result = output(frames, "np")
    assert result[0] is result.frames
    assert result["audio"] is result.audio
    assert result.frames.min() >= 0
    assert result.frames.max() <= 1


def test_latents_are_not_a_clip():
    result = MovaPipelineOutput(torch.zeros(1, 16, 2, 4, 4), torch.zeros(1, 4, 5), 16_000, 24.0)
    with pytest.raises(ConfigError, match="latents are not a clip"):
        result.clip()


def test_unknown_form_is_an_error():
    with pytest.raises(ConfigError, match="one of pil, np, pt, latent; got 'gif'"):
        check_output_type("gif")
