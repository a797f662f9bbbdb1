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
    from mova.pipeline.load import load_pipeline

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


@pytest.fixture(scope="session")
def spread_home(tmp_path_factory):
    """A model for several processes, an adapter for it, and the clips that one process makes with both."""
    import spread_jobs

    folder = tmp_path_factory.mktemp("spread")
    spread_jobs.write_model(folder / "model")
    spread_jobs.write_adapters(folder / "model", folder / "lora.safetensors")
    expected = spread_jobs.expect(folder)
    # What is compared depends on what it is made from.
    assert spread_jobs.distance(expected["adapted"], expected["long"]) > 0.01
    assert expected["two clips"][0].shape[0] == 2
    return folder
