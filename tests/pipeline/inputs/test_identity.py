"""What tells runs apart: everything that their clips depend on, as digests from which nothing can be read."""

import re

import pytest
import torch

from mova.pipeline.inputs.call import CallInputs
from mova.pipeline.inputs.media import GivenMedia, GivenNoise
from mova.pipeline.loop.control import Control
from mova.pipeline.loop.state_file import read_state
from mova.settings.sampling import GivenSettings


@pytest.fixture(scope="module")
def identity(pipe, short):
    def of(about=None, settings=None, **changes):
        kept = []
        control = Control(save_state=kept.append, every=1, about=about or {})
        inputs = {"prompt": "a dog", "noise": GivenNoise(seed=3), "output_type": "latent", "control": control}
        given = GivenSettings(**(short | {"num_inference_steps": 2} | (settings or {})))
        pipe.run(pipe.complete_settings(given), CallInputs(**(inputs | changes)))
        return read_state(kept[0])[1]

    return of


def test_the_same_run_has_the_same_identity_which_tells_nothing(identity):
    first = identity()
    assert first == identity()
    assert {"prompt", "seed", "settings", "model", "precision", "device", "versions"} <= set(first)
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in first.values())


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("prompt_embeds", {}),
        ("audio_latents", {}),
        ("last_image", {"media": GivenMedia(last_image=torch.zeros(3, 32, 32))}),
        ("loras", {"about": {"loras": ["a"]}}),
        ("settings", {"settings": {"guidance_scale": 2.0}}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_run_depends_on_changes_its_identity(pipe, identity, name, change):
    if name == "audio_latents":
        shape = pipe.complete_settings(GivenSettings(height=32, width=32, num_frames=5)).geometry.audio_latent_shape
        change = {"noise": GivenNoise(seed=3, audio=torch.zeros(1, *shape))}
    if name == "prompt_embeds":
        width = pipe.video_dit.config.text_dim
        change = {"prompt": None, "prompt_embeds": torch.ones(1, 4, width)}
    assert identity(**change).get(name) != identity().get(name)
