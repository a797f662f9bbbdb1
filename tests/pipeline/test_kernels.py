"""Kernels are chosen when a model is loaded, and refused before its weights are read."""

import pytest
import torch

from mova.distributed.mesh import Parallel
from mova.errors import ConfigError
from mova.kernels import compile as compilation
from mova.models.attention import Attention
from mova.pipeline.kernels import check_kernels, head_dims, use_kernels
from mova.pipeline.load import load_pipeline
from mova.pipeline.loading import model as reading
from mova.pipeline.runtime import Runtime

CPU = torch.device("cpu")


@pytest.fixture
def unread(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("weights were read before everything was checked")

    monkeypatch.setattr(reading, "load_component", refuse)


@pytest.mark.parametrize("name", ["sage", "flash", "native_cudnn"])
def test_attention_that_cannot_run_is_refused_before_weights_are_read(checkpoint, unread, name):
    with pytest.raises(ConfigError, match=f"attention {name} .* runs on cuda, got cpu; nearest is native_flash"):
        load_pipeline(checkpoint, runtime=Runtime(attention=name))


def test_compilation_that_cannot_run_is_refused_before_weights_are_read(checkpoint, unread):
    with (
        torch._inductor.config.patch({"cpp.cxx": (None, "no-such-compiler")}),
        pytest.raises(ConfigError, match="no-such-compiler"),
    ):
        load_pipeline(checkpoint, runtime=Runtime(compile_blocks=True))


@pytest.mark.parametrize(
    ("runtime", "parallel", "message"),
    [
        (Runtime(attention="native_math"), Parallel(ring=2, ulysses=2), "around a ring.*got ring=2; use ulysses"),
        (Runtime(compile_blocks=True), Parallel(ulysses=2), "got 2 processes that share a clip"),
    ],
)
def test_processes_that_share_tokens_cannot_have_everything(checkpoint, runtime, parallel, message):
    with pytest.raises(ConfigError, match=message):
        check_kernels(runtime, checkpoint, CPU, torch.float32, parallel)
    check_kernels(Runtime(attention="native_math"), checkpoint, CPU, torch.float32, Parallel(ulysses=2))


def test_heads_are_known_from_the_configurations(checkpoint, pipe):
    used = {
        part.q.out_features // part.num_heads
        for component in (pipe.video_dit, pipe.audio_dit, pipe.dual_tower_bridge)
        for part in component.modules()
        if isinstance(part, Attention)
    }
    assert set(head_dims(checkpoint)) == used


def test_a_loaded_model_computes_with_the_chosen_attention(checkpoint, latents_of, short):
    pipeline = load_pipeline(checkpoint, runtime=Runtime(attention="native_math"))
    pipeline.set_progress_bar_config(disable=True)
    towers = (pipeline.video_dit, pipeline.video_dit_2, pipeline.audio_dit, pipeline.dual_tower_bridge)
    chosen = {
        part.processor._attention_backend.value
        for component in towers
        for part in component.modules()
        if isinstance(part, Attention)
    }
    assert chosen == {"_native_math"}
    made = pipeline("a dog", **short, seed=0, output_type="latent")
    for one, plain in zip((made.frames, made.audio), latents_of(), strict=True):
        torch.testing.assert_close(one, plain, atol=1e-4, rtol=1e-4)


def test_a_choice_to_compile_reaches_all_blocks(pipe, monkeypatch):
    asked = []
    monkeypatch.setattr("mova.pipeline.kernels.compile_blocks", lambda parts: asked.extend(parts))
    use_kernels(Runtime(compile_blocks=True), [pipe.video_dit, pipe.dual_tower_bridge])
    assert asked == [pipe.video_dit, pipe.dual_tower_bridge]
    use_kernels(Runtime(), [pipe.audio_dit])
    assert len(asked) == 2
    assert compilation.compile_blocks([torch.nn.Linear(2, 2)]) == 0
