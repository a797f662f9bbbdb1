"""Compiled blocks: one compilation for each kind, hooks and changed weights act as before, equal results.

Most tests let `torch.compile` trace and run the graphs as they are ("eager"), which takes no compiler; one compiles.
"""

from __future__ import annotations

import sys

import pytest
import torch
from torch._dynamo.utils import counters

from mova.errors import ConfigError
from mova.kernels import cpu_linear
from mova.kernels.compile import check_compiler, compile_blocks, is_compiled, missing_tool
from mova.kernels.cpu_linear import use_onednn_linears
from mova.kernels.text_cache import TextCache
from mova.models.bridge import CrossModalBridge
from mova.models.dual_tower import DualTower
from mova.models.tower import AudioTower, VideoTower
from mova.offload.streaming import BlockStreamer
from mova.pipeline.loop.step_cache import StepCache

CPU = torch.device("cpu")
VIDEO = {"dim": 48, "in_dim": 36, "ffn_dim": 96, "out_dim": 16, "text_dim": 32, "freq_dim": 32, "num_heads": 2}
AUDIO = {"dim": 24, "in_dim": 8, "ffn_dim": 48, "out_dim": 8, "text_dim": 32, "freq_dim": 32, "num_heads": 1}
# Video and audio blocks, both directions of the bridge.
NUM_KINDS = 4


def components(model):
    return [model.video_tower, model.audio_tower, model.bridge]


@pytest.fixture
def experts():
    """Joint models of two experts, around one audio tower and one bridge."""
    torch.manual_seed(0)
    towers = [VideoTower(**VIDEO, num_layers=3) for _ in range(2)]
    audio = AudioTower(**AUDIO, num_layers=3)
    bridge = CrossModalBridge(visual_layers=3, audio_layers=3, visual_hidden_dim=48, audio_hidden_dim=24, head_dim=24)
    return [DualTower(tower, audio, bridge).eval().requires_grad_(False) for tower in towers]


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def cached_step(model, cache, seed):
    with cache.applied(model.video_tower, model.audio_tower) as prompt:
        return step(model, prompt, seed)


def step(model, prompt, seed=1, batch=1):
    generator = torch.Generator().manual_seed(seed)
    video = torch.randn(batch, 36, 3, 4, 6, generator=generator)
    audio = torch.randn(batch, 8, 25, generator=generator)
    time = 1000 * torch.rand(batch, generator=generator)
    return model(video, audio, time, time, prompt, frame_rate=24.0)


def prompt_of(batch=1):
    return torch.randn(batch, 5, 32, generator=torch.Generator().manual_seed(7))


def assert_near(made, expected):
    torch.testing.assert_close(made.video, expected.video, atol=2e-5, rtol=2e-5)
    torch.testing.assert_close(made.audio, expected.audio, atol=2e-5, rtol=2e-5)


@torch.no_grad()
def test_one_compilation_for_each_kind_serves_all_blocks_steps_and_experts(experts):
    seeds, caches = range(3), [TextCache(prompt_of()) for _ in range(2)]
    expected = [step(model, prompt_of(), seed) for model in experts for seed in seeds]
    assert compile_blocks(components(experts[0]) + components(experts[1]), backend="eager") == 3 * 3 + 2 * 3
    made = [cached_step(model, cache, seed) for model, cache in zip(experts, caches, strict=True) for seed in seeds]
    for one, plain in zip(made, expected, strict=True):
        assert_near(one, plain)
    assert counters["stats"]["unique_graphs"] == NUM_KINDS
    assert not counters["graph_break"]


@torch.no_grad()
def test_another_number_of_branches_is_compiled_once_more_and_no_more(experts):
    model = experts[0]
    expected = [step(model, prompt_of(batch), batch=batch) for batch in (1, 2, 1, 2)]
    compile_blocks(components(model), backend="eager")
    for batch, plain in zip((1, 2, 1, 2), expected, strict=True):
        assert_near(step(model, prompt_of(batch), batch=batch), plain)
    assert counters["stats"]["unique_graphs"] == 2 * NUM_KINDS


@torch.no_grad()
def test_compiling_twice_changes_nothing_more(experts):
    assert compile_blocks(components(experts[0]), backend="eager") == 12
    assert compile_blocks(components(experts[0]), backend="eager") == 0


@torch.no_grad()
def test_linear_layers_on_onednn_are_part_of_the_graphs(experts, monkeypatch):
    monkeypatch.setattr(cpu_linear, "MIN_ROWS", 1)
    model = experts[0]
    expected = step(model, prompt_of())
    used = use_onednn_linears([model])
    compile_blocks(components(model), backend="eager")
    assert_near(step(model, prompt_of()), expected)
    assert counters["stats"]["unique_graphs"] == NUM_KINDS
    assert not counters["graph_break"]
    assert used or torch.backends.cpu.get_cpu_capability() != "AVX512"


@torch.no_grad()
def test_the_step_cache_works_around_compiled_blocks(experts):
    model, text = experts[0], prompt_of()

    def run():
        with StepCache([model], threshold=0.9) as cache:
            results = []
            for _ in range(5):
                cache.begin("high_noise", ("only",))
                results.append(step(model, text))
            return results, cache.repeated

    expected, repeated = run()
    compile_blocks(components(model), backend="eager")
    made, repeated_now = run()
    assert repeated == repeated_now == 3
    for one, plain in zip(made, expected, strict=True):
        assert_near(one, plain)
    assert counters["stats"]["unique_graphs"] == NUM_KINDS
    assert not counters["graph_break"]


@torch.no_grad()
def test_weights_changed_in_place_act_without_another_compilation(experts):
    model, text = experts[0], prompt_of()
    compile_blocks(components(model), backend="eager")
    before = step(model, text)
    model.video_tower.blocks[1].ffn[0].weight.mul_(-2)
    after = step(model, text)
    assert (after.video - before.video).abs().max() > 1e-3
    assert counters["stats"]["unique_graphs"] == NUM_KINDS
    torch._dynamo.reset()
    for part in components(model):
        for block in part.modules():
            vars(block).pop("forward", None)
    assert_near(after, step(model, text))


@torch.no_grad()
def test_streamed_blocks_are_compiled_once(experts):
    model, text = experts[0], prompt_of()
    expected = step(model, text)
    compile_blocks(components(model), backend="eager")
    streamer = BlockStreamer(components(model), CPU)
    for _ in range(2):
        assert_near(step(model, text), expected)
    streamer.remove()
    assert counters["stats"]["unique_graphs"] == NUM_KINDS
    assert not counters["graph_break"]


def test_calls_with_gradients_compute_as_before(experts):
    model = experts[0].requires_grad_(True)
    compile_blocks(components(model), backend="eager")
    step(model, prompt_of()).video.sum().backward()
    assert model.video_tower.blocks[0].ffn[0].weight.grad is not None
    assert counters["stats"]["unique_graphs"] == 0


def test_a_missing_compiler_is_found_beforehand():
    with (
        torch._inductor.config.patch({"cpp.cxx": (None, "no-such-compiler")}),
        pytest.raises(ConfigError, match=r"compile needs a C\+\+ compiler .*no-such-compiler; nearest is no compile"),
    ):
        check_compiler(CPU)


def test_a_failure_with_a_compiler_at_hand_is_shown_as_what_it_is(monkeypatch):
    def fail(*_):
        raise RuntimeError("no room\nfor this")

    monkeypatch.setattr("mova.kernels.compile._compile_trifle", fail)
    monkeypatch.setattr("mova.kernels.compile.missing_tool", lambda _: None)
    with pytest.raises(ConfigError, match="failed for a trifle with RuntimeError: no room; nearest is no compile"):
        check_compiler(CPU)


def test_what_is_missing_is_looked_for(monkeypatch, tmp_path):
    gpu = torch.device("cuda")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert "Triton" in missing_tool(gpu)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    monkeypatch.setenv("CC", "no-such-compiler")
    assert "a C compiler" in missing_tool(gpu)
    assert "no-such-compiler" in missing_tool(gpu)
    monkeypatch.setenv("CC", sys.executable)
    monkeypatch.setattr("mova.kernels.compile._header_folders", lambda: [tmp_path])
    assert f"found no Python.h in {tmp_path}" in missing_tool(gpu)
    (tmp_path / "Python.h").touch()
    assert missing_tool(gpu) is None


@torch.no_grad()
def test_blocks_that_cannot_be_compiled_are_computed_plainly_where_nobody_asked_for_it(experts, caplog):
    def refuse(graph, inputs):
        raise RuntimeError("no kernel for this")

    model = experts[0]
    expected = step(model, prompt_of())
    compile_blocks(components(model), backend=refuse, or_plain=True)
    for _ in range(2):
        assert_near(step(model, prompt_of()), expected)
    assert not is_compiled(model.video_tower)
    assert [record.getMessage() for record in caplog.records if record.name == "mova.kernels.compile"] == [
        "blocks are computed plainly, as compiling them failed with RuntimeError: no kernel for this"
    ]


@torch.no_grad()
def test_blocks_that_were_to_be_compiled_and_cannot_be_are_an_error(experts):
    def refuse(graph, inputs):
        raise RuntimeError("no kernel for this")

    model = experts[0]
    assert not is_compiled(model.bridge)
    compile_blocks(components(model), backend=refuse)
    assert is_compiled(model.bridge)
    with pytest.raises(torch._dynamo.exc.BackendCompilerFailed, match="no kernel for this"):
        step(model, prompt_of())


def test_processes_that_share_tokens_cannot_compile():
    with pytest.raises(ConfigError, match="got 4 processes that share a clip; nearest is 1"):
        check_compiler(CPU, num_sharing=4)


@pytest.mark.slow
def test_a_compiler_that_is_gone_is_missed_although_one_was_there_before():
    check_compiler(CPU)
    test_a_missing_compiler_is_found_beforehand()


@pytest.mark.slow
@torch.no_grad()
def test_compiled_code_gives_the_same_numbers(experts, monkeypatch):
    monkeypatch.setattr(cpu_linear, "MIN_ROWS", 1)
    check_compiler(CPU)
    counters.clear()
    model, cache = experts[0], TextCache(prompt_of())
    expected = [step(model, prompt_of(), seed) for seed in range(2)]
    use_onednn_linears([model])
    compile_blocks(components(model))
    for seed in range(2):
        assert_near(cached_step(model, cache, seed), expected[seed])
    assert counters["stats"]["unique_graphs"] == NUM_KINDS
