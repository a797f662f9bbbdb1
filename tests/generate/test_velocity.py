import pytest
import torch

from mova.diffusion.guidance import CONDITIONAL, TEXTLESS, UNCONDITIONAL
from mova.generate import velocity
from mova.generate.velocity import TextConditions, VelocityModel
from mova.models.dual_tower import DualTower
from mova.types import LatentPair


@pytest.fixture
def model_and_arguments(pipe):
    def tower(name):
        return DualTower(getattr(pipe, name), pipe.audio_dit, pipe.dual_tower_bridge)

    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(shape, generator=generator)

    text = TextConditions(positive=draw(2, 8, 32), negative=draw(2, 8, 32))
    condition = draw(2, 20, 2, 4, 4)
    latents = LatentPair(video=draw(2, 16, 2, 4, 4), audio=draw(2, 16, 11))
    timesteps = torch.tensor([950.0, 950.0]), torch.tensor([900.0, 900.0])

    def make(batch_branches, **options):
        return VelocityModel(tower("video_dit"), tower("video_dit_2"), text, condition, 24.0, batch_branches, **options)

    return make, (latents, *timesteps)


@torch.no_grad()
def test_shared_calls_equal_separate_calls_and_keep_the_order(model_and_arguments):
    make, arguments = model_and_arguments
    branches = (UNCONDITIONAL, CONDITIONAL, TEXTLESS)
    together = make(True)(branches, *arguments, "high_noise")
    alone = make(False)(branches, *arguments, "high_noise")
    single = [make(False)((branch,), *arguments, "high_noise")[0] for branch in branches]
    for shared, separate, one in zip(together, alone, single, strict=True):
        torch.testing.assert_close(shared.video, separate.video, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(shared.audio, separate.audio, atol=1e-5, rtol=1e-4)
        assert torch.equal(separate.video, one.video)
    assert (together[0].video - together[2].video).abs().max() > 1e-3, "the bridge matters"


@torch.no_grad()
def test_experts_differ(model_and_arguments):
    make, arguments = model_and_arguments
    high, low = (make(False)((CONDITIONAL,), *arguments, expert)[0] for expert in ("high_noise", "low_noise"))
    assert (high.video - low.video).abs().max() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize(("limit", "calls"), [(10**6, 2), (0, 3)])
def test_small_calls_are_shared_by_default(pipe, model_and_arguments, monkeypatch, limit, calls):
    make, arguments = model_and_arguments
    monkeypatch.setattr(velocity, "SMALL_CALL_TOKENS", limit)
    counted = []
    handle = pipe.audio_dit.head.register_forward_hook(lambda *_: counted.append(1))
    make(None)((CONDITIONAL, TEXTLESS, UNCONDITIONAL), *arguments, "low_noise")
    handle.remove()
    assert len(counted) == calls


@torch.no_grad()
def test_what_follows_from_the_texts_is_computed_once_per_expert_with_the_same_results(pipe, model_and_arguments):
    make, arguments = model_and_arguments
    branches, experts = (CONDITIONAL, TEXTLESS), ("high_noise", "high_noise", "low_noise", "low_noise")
    counted = []
    embeddings = (pipe.video_dit.text_embedding, pipe.video_dit_2.text_embedding, pipe.audio_dit.text_embedding)
    handles = [
        part.register_forward_hook(lambda *_, name=name: counted.append(name)) for name, part in enumerate(embeddings)
    ]
    results = {}
    for remember in (True, False):
        model = make(False, remember_text=remember)
        counted.clear()
        results[remember] = [one for expert in experts for one in model(branches, *arguments, expert)]
        # Two branches; of two calls of each expert, and four of the audio tower, one computes it.
        assert [counted.count(name) for name in range(3)] == ([2, 2, 2] if remember else [4, 4, 8])
    for handle in handles:
        handle.remove()
    for plain, remembered in zip(results[False], results[True], strict=True):
        assert plain.video.equal(remembered.video)
        assert plain.audio.equal(remembered.audio)
