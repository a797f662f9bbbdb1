"""The recorded official checkpoint as a pipeline, and short calls of it."""

from pathlib import Path

import pytest
import torch

CHECKPOINT = Path(__file__).parents[1] / "numerics" / "records" / "pipeline_checkpoint"


@pytest.fixture(scope="session")
def checkpoint():
    return CHECKPOINT


@pytest.fixture(scope="session")
def pipe():
    """A pipeline that no test changes."""
    from mova.generate.load import load_pipeline

    pipeline = load_pipeline(CHECKPOINT)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="session")
def short():
    """Arguments of the shortest useful call: both experts work."""
    return {"height": 32, "width": 32, "num_frames": 5, "num_inference_steps": 4, "guidance_scale": 1.0}


@pytest.fixture(scope="session")
def latents_of(pipe, short):
    """Return a function that runs a short call and gives both final latents."""

    def run(prompt="a dog", **changes) -> tuple[torch.Tensor, torch.Tensor]:
        result = pipe(prompt, **(short | {"seed": 0, "output_type": "latent"} | changes))
        return result.frames, result.audio

    return run
