"""Kernels are chosen when a model is loaded, and refused before its weights are read."""

import pytest
import torch

from mova.distributed.mesh import Parallel
from mova.errors import ConfigError
from mova.kernels import compile as compilation
from mova.kernels.calibration import machine_name
from mova.kernels.cpu_linear import plain_uses_onednn
from mova.kernels.linear_choice import ChoiceFile, LinearChoice
from mova.models.attention import Attention
from mova.pipeline.kernels import check_kernels, compiles_unasked, describe_linears, head_dims, use_kernels, use_linears
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
    monkeypatch.setattr("mova.pipeline.kernels.compile_blocks", lambda parts, **_: asked.extend(parts))
    use_kernels(Runtime(compile_blocks=True), [pipe.video_dit, pipe.dual_tower_bridge], CPU)
    assert asked == [pipe.video_dit, pipe.dual_tower_bridge]
    use_kernels(Runtime(token_forwards=10**9), [pipe.audio_dit], CPU)
    assert len(asked) == 2
    assert compilation.compile_blocks([torch.nn.Linear(2, 2)]) == 0


def linear_layers(pipeline):
    return [pipeline.video_dit, pipeline.video_dit_2, pipeline.audio_dit, pipeline.dual_tower_bridge]


@torch.no_grad()
def test_plain_kernels_give_the_bits_of_the_fixed_rule():
    layer, few, many = torch.nn.Linear(192, 768), torch.randn(1, 63, 192), torch.randn(1, 784, 192)
    use_linears(Runtime(kernels="plain"), [layer], CPU, torch.float32)
    assert describe_linears(Runtime(kernels="plain"), [layer]) == "plain"
    assert torch.equal(layer(few), torch.nn.functional.linear(few, layer.weight, layer.bias))
    by_rule = torch.nn.functional.linear(many, layer.weight, layer.bias)
    if plain_uses_onednn():
        by_rule = torch.ops.mkldnn._linear_pointwise(many, layer.weight, layer.bias, "none", [], "")
    assert torch.equal(layer(many), by_rule)


def test_kernels_that_were_measured_make_the_same_clip_and_the_record_repeats_it(
    checkpoint, latents_of, short, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def make(**options):
        runtime = Runtime(kernels="auto", **options)
        pipeline = load_pipeline(checkpoint, runtime=runtime)
        pipeline.set_progress_bar_config(disable=True)
        record = describe_linears(runtime, [*linear_layers(pipeline), pipeline.text_encoder])
        return pipeline("a dog", **short, seed=0, output_type="latent"), record

    made, record = make()
    for one, plain in zip((made.frames, made.audio), latents_of(), strict=True):
        torch.testing.assert_close(one, plain, atol=1e-4, rtol=1e-4)
    assert record["machine"] == machine_name()
    assert record["products"] == ChoiceFile().read(machine_name())
    ChoiceFile().path.unlink()
    again, same = make(linears=LinearChoice(**record))
    assert same == record
    assert torch.equal(again.frames, made.frames)
    assert torch.equal(again.audio, made.audio)


def test_other_processes_take_the_choice_of_rank_0(monkeypatch):
    def measure(*_):
        raise AssertionError("only rank 0 measures")

    monkeypatch.setattr("mova.kernels.calibration.choose_linears", measure)
    chosen = LinearChoice("rank 0", {"64x64 few": "onednn", "64x64 many": "torch"})
    monkeypatch.setattr(Parallel, "broadcast", lambda _, __: chosen)
    layer = torch.nn.Linear(64, 64)
    use_linears(Runtime(kernels="auto"), [layer], CPU, torch.float32, Parallel(replicate=2, rank=1))
    assert describe_linears(Runtime(kernels="auto"), [layer])["products"] == chosen.products


@pytest.mark.parametrize(("device", "dtype"), [("cuda", torch.float32), ("cpu", torch.bfloat16)])
def test_nothing_is_measured_where_there_is_no_choice(device, dtype, monkeypatch):
    monkeypatch.setattr("mova.kernels.calibration.choose_linears", lambda *_: pytest.fail("measured"))
    use_linears(Runtime(kernels="auto"), [torch.nn.Linear(4, 4)], torch.device(device), dtype)


GPU = torch.device("cuda")
LONG = 10_000_000


@pytest.mark.parametrize(
    ("runtime", "parallel", "expected"),
    [
        (Runtime(token_forwards=LONG), None, True),
        (Runtime(token_forwards=50 * 2 * 43_120), None, False),
        (Runtime(token_forwards=50 * 2 * 43_120, quantization="float8_linear"), None, True),
        (Runtime(), None, False),
        (Runtime(token_forwards=LONG, compile_blocks=False), None, False),
        (Runtime(token_forwards=LONG), Parallel(ulysses=2), False),
        (Runtime(token_forwards=LONG), Parallel(replicate=2), False),
        (Runtime(token_forwards=2 * LONG), Parallel(replicate=2), True),
    ],
)
def test_on_a_gpu_a_run_that_is_long_enough_compiles_unasked(monkeypatch, runtime, parallel, expected):
    monkeypatch.setattr("mova.pipeline.kernels.check_compiler", lambda _: None)
    assert compiles_unasked(runtime, GPU, parallel) is expected
    assert not compiles_unasked(runtime, CPU, parallel)


def test_what_nobody_asked_for_is_left_out_with_one_note_where_nothing_compiles(monkeypatch, caplog):
    def refuse(device):
        raise ConfigError("compile needs a C compiler, and found no gcc; nearest is no compile")

    monkeypatch.setattr("mova.pipeline.kernels.check_compiler", refuse)
    assert not compiles_unasked(Runtime(token_forwards=LONG), GPU)
    assert [record.getMessage() for record in caplog.records] == [
        "blocks are not compiled, which would pay here: compile needs a C compiler, and found no gcc; nearest is no "
        "compile"
    ]
