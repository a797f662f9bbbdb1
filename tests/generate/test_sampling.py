"""What a run asks of the model, and that it is counted."""

import pytest


@pytest.mark.parametrize(
    ("options", "predictions"),
    [
        ({}, 4),
        ({"guidance_scale": 3.0}, 8),
        ({"guidance_scale": 3.0, "modality_scale": 2.0}, 12),
        # With shift 5 the noise levels are 1, 0.94, 0.83 and 0.63.
        ({"guidance_scale": 3.0, "guidance_interval": (0.9, 1.0), "video_shift": 5.0, "audio_shift": 5.0}, 6),
    ],
)
def test_predictions_are_counted_by_step_and_branch(pipe, short, options, predictions):
    made = pipe("a dog", **short | options, seed=0, output_type="latent")
    assert (made.calls.predictions, made.calls.repeated) == (predictions, 0)


def test_a_whole_clip_with_a_threshold_counts_what_it_repeats_and_stays_near(pipe, short):
    exact, near = (
        pipe("a dog", **short | {"num_inference_steps": 40}, seed=0, output_type="latent", step_cache=threshold)
        for threshold in (0.0, 0.5)
    )
    assert exact.calls.repeated == 0
    assert 0 < near.calls.repeated < near.calls.predictions == exact.calls.predictions == 40
    error = (near.frames - exact.frames).std() / exact.frames.std()
    assert 0 < error < 0.5
