"""LoRAs in a pipeline, on the recorded checkpoint."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mova.errors import CheckpointError, ConfigError
from mova.names import COMPONENTS
from mova.pipeline.load import load_pipeline
from mova.pipeline.pipeline import MovaPipeline
from mova.pipeline.runtime import Runtime
from mova.weights.components import key_shapes
from mova.weights.files import key_shape_md5
from mova.weights.lora.adapters import TARGETS, Lora, LoraLayer, LoraOrigin, select_layers
from mova.weights.lora.file import write_lora


@pytest.fixture
def own(checkpoint):
    """A pipeline that a test may change."""
    pipeline = load_pipeline(checkpoint)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture
def lora_file(tmp_path, pipe):
    """Return a function that writes a LoRA for all components of the pipeline."""

    def write(name="style", seed=0, rank=2, alpha=4.0, size=0.05, components=COMPONENTS, style="mova"):
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape):
            return size * torch.randn(shape, generator=generator)

        layers = {}
        for component in components:
            module = getattr(pipe, component)
            linears = {path: part for path, part in module.named_modules() if isinstance(part, torch.nn.Linear)}
            layers[component] = {
                path: LoraLayer(draw(rank, linears[path].in_features), draw(linears[path].out_features, rank), alpha)
                for path in select_layers(linears, TARGETS[component])
            }
        md5 = {component: key_shape_md5(key_shapes(getattr(pipe, component))) for component in components}
        files = write_lora(Lora(layers, LoraOrigin("records", md5)), tmp_path / f"{name}.safetensors", style)
        return files[0] if len(files) == 1 else files

    return write


def state(pipeline):
    return {
        f"{name}.{key}": value.clone()
        for name in COMPONENTS
        for key, value in getattr(pipeline, name).state_dict().items()
    }


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def run(pipeline, short):
    result = pipeline("a dog", **(short | {"seed": 0, "output_type": "latent"}))
    return torch.cat([result.frames.flatten(), result.audio.flatten()])


def test_a_lora_acts_on_the_clip_and_is_gone_bit_for_bit(own, lora_file, short):
    base, before = state(own), run(own, short)
    assert own.load_lora_weights(lora_file()) == "style"
    adapted = run(own, short)
    assert (adapted - before).abs().max() > 1e-3
    own.unfuse_lora()
    assert own.get_active_adapters() == {}
    assert equal(state(own), base)
    assert torch.equal(run(own, short), before)
    own.fuse_lora()
    assert torch.equal(run(own, short), adapted)
    own.unload_lora_weights()
    assert equal(state(own), base)


def test_several_loras_with_scales_are_their_sum(own, lora_file):
    base = state(own)
    first, second = lora_file("one", 1), lora_file("two", 2, rank=3, alpha=1.0)
    own.load_lora_weights(first, scale=0.5)
    alone = {key: value - base[key] for key, value in state(own).items()}
    own.set_adapters([])
    own.load_lora_weights(second, scale=-2.0)
    other = {key: value - base[key] for key, value in state(own).items()}
    own.set_adapters(["one", "two"])
    assert own.get_active_adapters() == {"one": 0.5, "two": -2.0}
    for key, value in state(own).items():
        torch.testing.assert_close(value, base[key] + alone[key] + other[key], atol=1e-6, rtol=1e-6)
    changed = [key for key in base if alone[key].any()]
    assert len(changed) == own._merged.num_changed > 0


def test_adapters_are_scaled_and_deleted_by_name(own, lora_file):
    base = state(own)
    own.load_lora_weights(lora_file("one", 1))
    one = state(own)
    own.load_lora_weights(lora_file("two", 2), adapter_name="second")
    own.set_adapters("one", 0.0)
    assert equal(state(own), base)
    own.set_adapters(["one", "second"], [1.0, 0.0])
    assert equal(state(own), one)
    own.delete_adapters("second")
    assert own.get_active_adapters() == {"one": 1.0}
    own.fuse_lora(["one"], lora_scale=0.0)
    assert equal(state(own), base)


def test_every_adapted_weight_changes(own, lora_file):
    base = state(own)
    own.load_lora_weights(lora_file())
    changed = {key for key, value in state(own).items() if not torch.equal(value, base[key])}
    for component in COMPONENTS:
        linears = [path for path, part in getattr(own, component).named_modules() if isinstance(part, torch.nn.Linear)]
        wanted = {f"{component}.{path}.weight" for path in select_layers(linears, TARGETS[component])}
        assert wanted == {key for key in changed if key.startswith(f"{component}.")}


@pytest.mark.parametrize("style", ["diffsynth", "comfyui"])
def test_files_of_other_tools_act_like_ours(own, lora_file, style):
    own.load_lora_weights(lora_file("ours", components=("video_dit",), alpha=3.0))
    ours = state(own)
    own.unload_lora_weights()
    theirs = lora_file("theirs", components=("video_dit",), alpha=3.0, style=style)
    with pytest.raises(CheckpointError, match="fit video_dit and video_dit_2"):
        own.load_lora_weights(theirs)
    own.load_lora_weights(theirs, component="video_dit")
    for key, value in state(own).items():
        torch.testing.assert_close(value, ours[key], atol=1e-6, rtol=1e-6)


def test_a_lora_that_does_not_fit_changes_nothing(own, lora_file, tmp_path, short):
    own.load_lora_weights(lora_file("good"))
    before = state(own)
    layers = {
        "video_dit": {
            "blocks.0.self_attn.q": LoraLayer(torch.ones(1, 3), torch.ones(3, 1), 1.0),
            "blocks.0.cross_attn.k_img": LoraLayer(torch.ones(1, 3), torch.ones(3, 1), 1.0),
        }
    }
    (bad,) = write_lora(Lora(layers), tmp_path / "bad.safetensors")
    with pytest.raises(
        CheckpointError, match=r"bad.safetensors must fit the model, got 1 unmatched, 1 mis-shaped of 2"
    ):
        own.load_lora_weights(bad)
    assert equal(state(own), before)
    assert own.get_active_adapters() == {"good": 1.0}


def test_from_pretrained_takes_loras_and_checks_them_before_weights_are_read(checkpoint, lora_file, own, monkeypatch):
    from mova.pipeline.loading import model as reading

    first, second = lora_file("one", 1), lora_file("two", 2)
    own.load_lora_weights(first, scale=0.5)
    own.load_lora_weights(second)
    made = MovaPipeline.from_pretrained(checkpoint, loras=[(first, 0.5), (second, 1.0)])
    assert equal(state(made), state(own))
    assert made.get_active_adapters() == {"one": 0.5, "two": 1.0}
    (bad,) = write_lora(
        Lora({"video_dit": {"nothing.q": LoraLayer(torch.ones(1, 3), torch.ones(3, 1), 1.0)}}),
        first.parent / "b.safetensors",
    )
    monkeypatch.setattr(reading, "load_component", lambda *_, **__: pytest.fail("weights were read"))
    with pytest.raises(CheckpointError, match=r"video_dit.nothing.q: the model has no such layer"):
        MovaPipeline.from_pretrained(checkpoint, loras=[(bad, 1.0)])


def test_one_name_in_two_folders_makes_two_adapters(checkpoint, lora_file, tmp_path):
    first = lora_file("one", 1)
    (tmp_path / "other").mkdir()
    second = first.rename(tmp_path / "other" / first.name)
    first = lora_file("one", 2)
    made = load_pipeline(checkpoint, loras=[(first, 1.0), (second, 1.0)])
    assert made.get_active_adapters() == {"one": 1.0, "lora_2": 1.0}


def test_a_saved_pipeline_holds_what_acts(own, lora_file, tmp_path):
    own.load_lora_weights(lora_file())
    own.save_pretrained(tmp_path / "merged")
    assert equal(state(load_pipeline(tmp_path / "merged")), state(own))


def test_bf16_weights_stay_bf16_and_come_back(checkpoint, lora_file):
    pipeline = load_pipeline(checkpoint, dtype=torch.bfloat16)
    base = state(pipeline)
    pipeline.load_lora_weights(lora_file())
    assert {key: value.dtype for key, value in state(pipeline).items()} == {key: v.dtype for key, v in base.items()}
    assert not equal(state(pipeline), base)
    pipeline.unload_lora_weights()
    assert equal(state(pipeline), base)


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), "1", True])
def test_a_scale_must_be_a_finite_number(own, lora_file, scale):
    base = state(own)
    with pytest.raises(ConfigError, match="scale of a LoRA must be a finite number"):
        own.load_lora_weights(lora_file(), scale=scale)
    assert equal(state(own), base)


def test_names_must_be_known_and_new(own, lora_file):
    own.load_lora_weights(lora_file())
    with pytest.raises(ConfigError, match="'style' is loaded already"):
        own.load_lora_weights(lora_file())
    with pytest.raises(ConfigError, match="adapter must be one of style; got other"):
        own.set_adapters(["style", "other"])
    with pytest.raises(ConfigError, match="must hold 1 scales, one per adapter, got 2"):
        own.set_adapters(["style"], [1.0, 2.0])


def test_a_merge_that_breaks_off_says_that_nothing_acts(own, lora_file, monkeypatch):
    base = state(own)
    own.load_lora_weights(lora_file("one", 1))
    second = lora_file("two", 2, components=("video_dit", "audio_dit"))

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(LoraLayer, "update", fail)
    with pytest.raises(MemoryError):
        own.load_lora_weights(second)
    assert own.get_active_adapters() == {}
    assert equal(state(own), base)


def test_a_clip_says_what_it_was_adapted_with(checkpoint, lora_file, tmp_path):
    from mova.generate.record import describe
    from mova.generate.request import ClipOptions, LoraChoice
    from mova.generate.run import make_request

    folder, request = make_request(str(checkpoint), ClipOptions(prompt="a dog"), loras=[LoraChoice(lora_file(), 0.5)])
    (entry,) = describe(request, folder)["loras"]
    assert (entry["file"], entry["scale"], len(entry["sha256"])) == ("style.safetensors", 0.5, 64)
    folder, request = make_request(str(checkpoint), ClipOptions(prompt="a dog"))
    assert "loras" not in describe(request, folder)


@pytest.fixture
def rich_file(tmp_path, pipe):
    """A LoRA with everything that one can hold: plain and DoRA layers, a convolution, whole differences."""
    generator = torch.Generator().manual_seed(5)

    def draw(*shape):
        return 0.05 * torch.randn(shape, generator=generator)

    layers, differences = {}, {}
    for component in ("video_dit", "audio_dit"):
        shapes = key_shapes(getattr(pipe, component))
        found = {}
        for path, kind in (("blocks.0.self_attn.q", 1), ("blocks.0.ffn.0", 0), ("time_embedding.0", None)):
            out, into = shapes[f"{path}.weight"]
            size = (out, 1) if kind else (1, into)
            magnitude = None if kind is None else 1 + draw(*size)
            found[path] = LoraLayer(draw(2, into), draw(out, 2), 4.0, magnitude)
        out, into, *kernel = shapes["patch_embedding.weight"]
        found["patch_embedding"] = LoraLayer(draw(2, into, *kernel), draw(out, 2, *(1 for _ in kernel)), 2.0)
        layers[component] = found
        changed = ("blocks.0.norm3.weight", "blocks.0.modulation", "head.modulation", "blocks.0.self_attn.q.bias")
        differences[component] = {key: draw(*shapes[key]) for key in changed}
    return write_lora(Lora(layers, differences=differences), tmp_path / "rich.safetensors")[0]


def test_dora_convolutions_and_whole_differences_act_and_are_gone_bit_for_bit(own, rich_file, short):
    base, before = state(own), run(own, short)
    own.load_lora_weights(rich_file, scale=0.8)
    changed = {key for key, value in state(own).items() if not torch.equal(value, base[key])}
    assert len(changed) == 2 * 8
    assert (run(own, short) - before).abs().max() > 1e-3
    own.unload_lora_weights()
    assert equal(state(own), base)


# tests/offload/test_placement.py has all of them with other adapters.
@pytest.mark.parametrize(
    "placement",
    [
        pytest.param("phases", marks=pytest.mark.slow),
        "stream",
        pytest.param("disk", marks=pytest.mark.slow),
    ],
)
def test_they_act_the_same_wherever_the_weights_rest(checkpoint, rich_file, short, placement):
    loras = [(rich_file, 0.8)]
    found = [load_pipeline(checkpoint, loras=loras, runtime=Runtime(name)) for name in ("resident", placement)]
    first, second = (run(pipeline, short) for pipeline in found)
    torch.testing.assert_close(first, second, atol=1e-4, rtol=1e-4)
    found[1].unload_lora_weights()
    assert equal(state(found[1]), state(load_pipeline(checkpoint)))
    assert (run(found[1], short) - first).abs().max() > 1e-2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_they_are_in_the_weights_before_those_are_quantized(checkpoint, rich_file, dtype):
    plain = load_pipeline(checkpoint, loras=[(rich_file, 0.8)], dtype=dtype)
    quantized = load_pipeline(checkpoint, loras=[(rich_file, 0.8)], dtype=dtype, runtime=Runtime(quantization="float8"))
    for name in ("video_dit", "audio_dit"):
        found, expected = getattr(quantized, name).state_dict(), getattr(plain, name).state_dict()
        for key in (
            "blocks.0.norm3.weight",
            "blocks.0.modulation",
            "time_embedding.0.weight",
            "patch_embedding.weight",
        ):
            assert torch.equal(found[key], expected[key]), key
        restored = found["blocks.0.self_attn.q.weight"].float() * found["blocks.0.self_attn.q.scales"].float()[:, None]
        expected_q = expected["blocks.0.self_attn.q.weight"].float()
        assert (restored - expected_q).norm() < 0.04 * expected_q.norm()


def test_adapters_are_switched_off_and_on_again(own, lora_file):
    base = state(own)
    own.load_lora_weights(lora_file("one", 1))
    own.load_lora_weights(lora_file("two", 2, components=("audio_dit",)))
    own.set_adapters(["two"], [None])
    acting = state(own)
    assert own.get_list_adapters() == {name: ["one"] + ["two"] * (name == "audio_dit") for name in COMPONENTS}
    own.disable_lora()
    assert equal(state(own), base)
    assert own.get_active_adapters() == {}
    own.enable_lora()
    assert equal(state(own), acting)
    assert own.get_active_adapters() == {"two": 1.0}
    own.disable_lora()
    own.set_adapters("one", np.float32(0.5))
    assert own.get_active_adapters() == {"one": 0.5}


def test_the_second_expert_is_named_as_in_diffusers(own, lora_file):
    file = lora_file("low", components=("video_dit",), style="comfyui")
    own.load_lora_weights(file, load_into_transformer_2=True)
    assert own.get_list_adapters() == {"video_dit_2": ["low"]}
    with pytest.raises(
        ConfigError, match="load_into_transformer_2 is component='video_dit_2', got component='video_dit'"
    ):
        own.load_lora_weights(file, "high", load_into_transformer_2=True, component="video_dit")


def test_a_folder_of_peft_and_tensors_by_key_are_loras_too(own, checkpoint, tmp_path):
    width = own.audio_dit.config.dim
    key = "base_model.model.audio_dit.blocks.0.self_attn.q"
    tensors = {f"{key}.lora_A.weight": torch.ones(2, width), f"{key}.lora_B.weight": torch.ones(width, 2)}
    folder = tmp_path / "my.style"
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 2, "lora_alpha": 8}')
    base = own.audio_dit.blocks[0].self_attn.q.weight.detach().clone()
    assert own.load_lora_weights(str(folder)) == "my.style"
    weight = own.audio_dit.blocks[0].self_attn.q.weight
    torch.testing.assert_close(weight - base, torch.full((width, width), 8.0))
    assert own.load_lora_weights(tensors, "by_key", scale=-4.0) == "by_key"
    torch.testing.assert_close(weight - base, torch.zeros(width, width), atol=1e-5, rtol=0)
    assert own.load_lora_weights(folder, weight_name="adapter_model.safetensors", adapter_name="again") == "again"
    made = MovaPipeline.from_pretrained(checkpoint, loras=[(folder, 0.5)])
    assert made.get_active_adapters() == {"my.style": 0.5}
