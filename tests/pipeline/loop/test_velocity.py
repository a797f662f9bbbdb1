from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mova.diffusion import finite
from mova.diffusion.denoise import denoise
from mova.diffusion.guidance import CONDITIONAL, TEXTLESS, UNCONDITIONAL, Guidance
from mova.diffusion.schedule import PairedFlowMatchScheduler
from mova.models.dual_tower import DualTower
from mova.pipeline.loop import velocity
from mova.pipeline.loop.step_cache import StepCache
from mova.pipeline.loop.velocity import TextConditions, VelocityModel
from mova.plan.free import free_gpu_bytes
from mova.plan.memory import token_bytes
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


class _CopiesBetweenDevices(TorchDispatchMode):
    """Notes operations that take tensors of one device and return those of another."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        given, made = (
            {one.device.type for one in tree_leaves(tree) if isinstance(one, torch.Tensor)}
            for tree in ((args, kwargs), output)
        )
        if given and made and given != made:
            self.found.append(str(func))
        return output


class _NeverAsked:
    def __init__(self, _):
        pass

    def has_arrived(self):
        return False

    def read(self):
        return [True, True]


@torch.no_grad()
@pytest.mark.parametrize("sampler", ["euler", "unipc"])
def test_no_step_waits_for_the_device_or_sends_it_anything(pipe, monkeypatch, sampler):
    # Tensors without values stand for those of a device: reading one of them raises, as in `item` or a condition.
    with torch.device("meta"):
        parts = [type(part).from_config(part.config) for part in (pipe.video_dit, pipe.audio_dit)]
        model = DualTower(*parts, type(pipe.dual_tower_bridge).from_config(pipe.dual_tower_bridge.config))
        text = TextConditions(positive=torch.empty(1, 8, 32), negative=torch.empty(1, 8, 32))
        condition = torch.empty(1, 20, 2, 4, 4)
        start = LatentPair(video=torch.empty(1, 16, 2, 4, 4), audio=torch.empty(1, 16, 11))
    monkeypatch.setattr(finite, "send_flags", _NeverAsked)
    schedule = PairedFlowMatchScheduler(shift=5.0, sigma_min=0.0, extra_one_step=True).make_schedule(5)
    watch, by_step = _CopiesBetweenDevices(), []

    def after_step(*_):
        by_step.append(watch.found.copy())
        watch.found.clear()

    with watch:
        end = denoise(
            VelocityModel(model, model, text, condition, 24.0),
            start,
            schedule,
            guidance=Guidance(3.0, 2.0, rescale=0.5),
            sampler=sampler,
            on_step=after_step,
        )
    assert end.video.is_meta
    # The first step sends the positions and all timesteps.
    assert by_step[0]
    assert by_step[1:] == [[]] * 4


@torch.no_grad()
def test_reading_a_number_of_the_device_would_be_noticed():
    with pytest.raises((NotImplementedError, RuntimeError)):
        bool(torch.empty((), device="meta") > 0)


@torch.no_grad()
@pytest.mark.parametrize(("share", "calls"), [(1.01, 2), (0.99, 4)])
def test_on_a_gpu_branches_share_a_call_where_half_of_the_free_memory_holds_them(
    pipe, model_and_arguments, share, calls
):
    make, arguments = model_and_arguments
    config, num_tokens = pipe.video_dit.config, 2 * 2 * 2 * 2
    needed = 2 * num_tokens * token_bytes(config.dim, config.ffn_dim, 4)
    asked = []

    def free_bytes(device):
        asked.append(device)
        return int(2 * needed * share)

    counted = []
    handle = pipe.audio_dit.head.register_forward_hook(lambda *_: counted.append(1))
    model = make(None, free_bytes=free_bytes)
    for _ in range(2):
        model((CONDITIONAL, TEXTLESS), *arguments, "low_noise")
    handle.remove()
    assert len(counted) == calls
    assert asked == [torch.device("cpu")]


@torch.no_grad()
@pytest.mark.parametrize(
    ("placement", "limit", "calls"),
    [("resident", 16, 1), ("resident", 15, 2), ("phases", 15, 2), ("stream", 15, 1), ("disk", 15, 1)],
)
def test_on_a_gpu_large_calls_are_shared_only_where_each_call_brings_the_weights(
    pipe, model_and_arguments, monkeypatch, placement, limit, calls
):
    make, arguments = model_and_arguments
    # Two clips of eight tokens each.
    monkeypatch.setattr(velocity, "SMALL_CALL_TOKENS", limit)
    counted = []
    handle = pipe.audio_dit.head.register_forward_hook(lambda *_: counted.append(1))
    make(None, placement=placement, free_bytes=lambda _: 10**12)((CONDITIONAL, TEXTLESS), *arguments, "low_noise")
    make(None, placement=placement, free_bytes=lambda _: 0)((CONDITIONAL, TEXTLESS), *arguments, "low_noise")
    handle.remove()
    assert len(counted) == calls + 2


@torch.no_grad()
def test_branches_that_do_not_fit_after_all_take_turns_from_then_on(pipe, model_and_arguments, caplog):
    make, arguments = model_and_arguments
    batches = []

    def refuse_two_branches(_, inputs):
        batches.append(len(inputs[0]))
        if len(inputs[0]) > 2:
            raise torch.OutOfMemoryError("no memory")

    def with_cache(model):
        cache = StepCache([model.high_noise, model.low_noise], threshold=1e-9)
        return replace(model, cache=cache), cache

    apart, cache = with_cache(make(False))
    with cache:
        expected = apart((CONDITIONAL, TEXTLESS), *arguments, "low_noise")
        kept_bytes = cache.size_bytes()
    model, cache = with_cache(make(None, free_bytes=lambda _: 10**12))
    handle = pipe.video_dit_2.blocks[1].register_forward_pre_hook(refuse_two_branches)
    with cache:
        made = [model((CONDITIONAL, TEXTLESS), *arguments, "low_noise") for _ in range(2)]
        # Nothing is left of the call that did not fit.
        assert cache.size_bytes() == kept_bytes > 0
    with pytest.raises(torch.OutOfMemoryError):
        make(True)((CONDITIONAL, TEXTLESS), *arguments, "low_noise")
    handle.remove()
    # Two clips a branch: both branches once, and then each by itself.
    assert batches == [4, 2, 2, 2, 2, 4]
    assert "take turns" in caplog.text
    for one in made:
        for branch, alone in zip(one, expected, strict=True):
            torch.testing.assert_close(branch.video, alone.video)
            torch.testing.assert_close(branch.audio, alone.audio)


def test_elsewhere_than_on_a_gpu_no_memory_is_asked_for():
    assert free_gpu_bytes(torch.device("cpu")) is None
