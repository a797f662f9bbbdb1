"""LoRA files of every style: read, written, refused."""

import dataclasses
import json

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from mova.errors import CheckpointError, ConfigError
from mova.weights.lora.adapters import UNNAMED, Lora, LoraLayer, LoraOrigin, fit_lora
from mova.weights.lora.file import is_lora, read_lora, write_lora

PATHS = ("blocks.0.self_attn.q", "blocks.0.cross_attn.o", "blocks.1.ffn.0", "blocks.1.ffn.2")


def matrices(rank=2, out=6, into=4, alpha=3.0):
    return LoraLayer(torch.randn(rank, into), torch.randn(out, rank), alpha)


@pytest.fixture
def lora():
    torch.manual_seed(0)
    return Lora(
        {
            "video_dit": {path: matrices() for path in PATHS},
            "dual_tower_bridge": {"audio_to_video_conditioners.3.inner.q": matrices(rank=5, alpha=5.0)},
        },
        LoraOrigin("mova-tiny", {"video_dit": "a", "dual_tower_bridge": "b"}, "c"),
    )


def same_updates(first, second):
    assert list(first) == list(second) or set(first) == set(second)
    for path, layer in first.items():
        torch.testing.assert_close(layer.update(), second[path].update())


def save(path, prefix, down, up, alpha=None, paths=PATHS, layer=None):
    """Write adapters as another tool does; `path_of` renames a layer."""
    layer = layer or matrices()
    tensors = {}
    for name in paths:
        tensors[f"{prefix}{name}.{down}"] = layer.down.clone()
        tensors[f"{prefix}{name}.{up}"] = layer.up.clone()
        if alpha is not None:
            tensors[f"{prefix}{name}.alpha"] = torch.tensor(alpha)
    save_file(tensors, path)
    return layer


def test_our_file_comes_back_with_every_tensor_and_its_origin(tmp_path, lora):
    (file,) = write_lora(lora, tmp_path / "style.safetensors")
    back = read_lora(file)
    assert (back.style, back.name, back.origin, back.strays) == ("mova", "style.safetensors", lora.origin, ())
    assert {name: set(layers) for name, layers in back.layers.items()} == {
        name: set(layers) for name, layers in lora.layers.items()
    }
    for component, layers in lora.layers.items():
        for path, layer in layers.items():
            found = back.layers[component][path]
            assert torch.equal(found.down, layer.down)
            assert torch.equal(found.up, layer.up)
            assert (found.rank, found.alpha) == (layer.rank, layer.alpha)


def test_metadata_holds_true_ranks_and_alphas(tmp_path, lora):
    (file,) = write_lora(lora, tmp_path / "style.safetensors")
    with safe_open(file, framework="pt") as stored:
        metadata = stored.metadata()
    assert metadata["base_model"] == "mova-tiny"
    assert json.loads(metadata["base_md5"]) == lora.origin.base_md5
    assert metadata["recipe_sha256"] == "c"
    assert json.loads(metadata["rank"]) == {"video_dit": [2], "dual_tower_bridge": [5]}
    assert json.loads(metadata["alpha"]) == {"video_dit": [3.0], "dual_tower_bridge": [5.0]}
    assert json.loads(metadata["targets"])["dual_tower_bridge"] == ["inner.q"]


@pytest.mark.parametrize("style", ["diffsynth", "comfyui"])
def test_other_styles_hold_one_component_per_file_and_come_back(tmp_path, lora, style):
    files = write_lora(lora, tmp_path / "style.safetensors", style)
    assert [file.name for file in files] == ["style_video_dit.safetensors", "style_dual_tower_bridge.safetensors"]
    for file, layers in zip(files, lora.layers.values(), strict=True):
        back = read_lora(file)
        assert back.style == style
        same_updates(layers, back.layers[UNNAMED])


def test_keys_are_those_that_the_tools_read(tmp_path, lora):
    one = Lora({"video_dit": lora.layers["video_dit"]})
    (diffsynth,) = write_lora(one, tmp_path / "d.safetensors", "diffsynth")
    (comfyui,) = write_lora(one, tmp_path / "c.safetensors", "comfyui")
    assert {key for key in load_file(diffsynth) if "ffn.2" in key} == {
        "blocks.1.ffn.2.lora_A.default.weight",
        "blocks.1.ffn.2.lora_B.default.weight",
    }
    assert {key for key in load_file(comfyui) if "ffn.2" in key} == {
        "diffusion_model.blocks.1.ffn.2.lora_down.weight",
        "diffusion_model.blocks.1.ffn.2.lora_up.weight",
        "diffusion_model.blocks.1.ffn.2.alpha",
    }


@pytest.mark.parametrize(
    ("prefix", "down", "up", "style"),
    [
        ("diffusion_model.", "lora_down.weight", "lora_up.weight", "comfyui"),
        ("diffusion_model.", "lora_A.weight", "lora_B.weight", "comfyui"),
        ("", "lora_A.default.weight", "lora_B.default.weight", "diffsynth"),
        ("base_model.model.", "lora_A.weight", "lora_B.weight", "peft"),
        ("", "lora_A.weight", "lora_B.weight", "plain"),
    ],
)
@pytest.mark.parametrize("alpha", [None, 1.0])
def test_styles_are_told_by_their_keys_and_a_missing_alpha_is_the_rank(tmp_path, prefix, down, up, style, alpha):
    layer = save(tmp_path / "x.safetensors", prefix, down, up, alpha)
    found = read_lora(tmp_path / "x.safetensors")
    assert found.style == style
    assert set(found.layers[UNNAMED]) == set(PATHS)
    one = found.layers[UNNAMED][PATHS[0]]
    assert torch.equal(one.down, layer.down)
    assert one.alpha == (2.0 if alpha is None else 1.0)


def test_diffsynth_keys_with_the_component_in_front_are_understood(tmp_path):
    save(tmp_path / "x.safetensors", "pipe.audio_dit.", "lora_A.default.weight", "lora_B.default.weight")
    found = read_lora(tmp_path / "x.safetensors")
    assert (found.style, set(found.layers["audio_dit"])) == ("diffsynth", set(PATHS))


def test_kohya_keys_get_their_dots_back(tmp_path):
    flat = [path.replace(".", "_") for path in PATHS]
    save(tmp_path / "x.safetensors", "lora_unet_", "lora_down.weight", "lora_up.weight", 4.0, flat)
    found = read_lora(tmp_path / "x.safetensors")
    assert (found.style, set(found.layers[UNNAMED]), found.strays) == ("kohya", set(PATHS), ())


def test_diffusers_names_become_ours(tmp_path):
    theirs = ["blocks.0.attn1.to_q", "blocks.0.attn2.to_out.0", "blocks.1.ffn.net.0.proj", "blocks.1.ffn.net.2"]
    layer = matrices()
    tensors = {}
    for prefix in ("transformer", "transformer_2"):
        for name in theirs:
            tensors[f"{prefix}.{name}.lora_A.weight"] = layer.down.clone()
            tensors[f"{prefix}.{name}.lora_B.weight"] = layer.up.clone()
    save_file(tensors, tmp_path / "both.safetensors")
    both = read_lora(tmp_path / "both.safetensors")
    assert {name: set(layers) for name, layers in both.layers.items()} == {
        "video_dit": set(PATHS),
        "video_dit_2": set(PATHS),
    }
    save_file({key: value for key, value in tensors.items() if "_2" not in key}, tmp_path / "one.safetensors")
    assert set(read_lora(tmp_path / "one.safetensors").layers) == {UNNAMED}, "for either expert"


def test_keys_that_are_no_adapters_are_kept_for_the_error_and_never_dropped(tmp_path):
    layer = matrices()
    save_file(
        {
            "diffusion_model.blocks.0.ffn.0.lora_A.weight": layer.down,
            "diffusion_model.blocks.0.ffn.0.lora_B.weight": layer.up,
            "diffusion_model.blocks.0.norm3.weight": torch.ones(3),
        },
        tmp_path / "x.safetensors",
    )
    lora = read_lora(tmp_path / "x.safetensors")
    assert lora.strays == ("diffusion_model.blocks.0.norm3.weight",)
    with pytest.raises(CheckpointError, match=r"holds 1 keys that are no adapters and would be lost: .*norm3.weight"):
        write_lora(lora, tmp_path / "y.safetensors", "comfyui")
    assert not (tmp_path / "y.safetensors").exists()


@pytest.mark.parametrize(
    ("tensors", "text"),
    [
        ({"blocks.0.q.weight": torch.ones(2, 2)}, r"must hold adapters \(lora_A, lora_B\), got 1 other tensors"),
        ({"b.q.lora_A.weight": torch.ones(2, 2)}, "must hold both matrices of b.q, the up one is missing"),
        (
            {"b.q.lora_A.weight": torch.ones(2, 4), "b.q.lora_B.weight": torch.ones(4, 3)},
            r"\(rank, in\) and \(out, rank\) for b.q, got \[2, 4\] and \[4, 3\]",
        ),
        (
            {"b.q.lora_A.weight": torch.ones(2, 4, 1, 1), "b.q.lora_B.weight": torch.ones(4, 2, 1, 3)},
            r"got \[2, 4, 1, 1\]",
        ),
        (
            {"b.q.lora_A.weight": torch.full((2, 4), torch.nan), "b.q.lora_B.weight": torch.ones(4, 2)},
            "must hold finite numbers, got NaN or infinity in b.q",
        ),
        (
            {
                "b.q.lora_A.weight": torch.ones(2, 4),
                "b.q.lora_down.weight": torch.ones(2, 4),
                "b.q.lora_B.weight": torch.ones(4, 2),
            },
            "must hold one down matrix for b.q, got a second",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_explained(tmp_path, tensors, text):
    save_file(tensors, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=text):
        read_lora(tmp_path / "x.safetensors")


@pytest.mark.parametrize("content", [b"", b"not safetensors", b"\x80\x04."])
def test_a_file_that_is_no_safetensors_is_refused(tmp_path, content):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="must be a whole safetensors file"):
        read_lora(tmp_path / "x.safetensors")


def test_a_missing_file_and_a_missing_folder_are_explained(tmp_path, lora):
    with pytest.raises(CheckpointError, match="must be a whole safetensors file"):
        read_lora(tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match="cannot be written"):
        write_lora(lora, tmp_path / "none" / "x.safetensors")


def test_damaged_metadata_is_refused(tmp_path):
    tensors = {"video_dit.b.q.lora_A.weight": torch.ones(2, 4), "video_dit.b.q.lora_B.weight": torch.ones(4, 2)}
    save_file(tensors, tmp_path / "x.safetensors", metadata={"base_md5": "[1"})
    with pytest.raises(CheckpointError, match=r"base_md5 .* must be JSON"):
        read_lora(tmp_path / "x.safetensors")


def test_a_style_must_be_one_that_can_be_written(tmp_path, lora):
    with pytest.raises(ConfigError, match="one of mova, diffsynth, comfyui; got 'kohya'"):
        write_lora(lora, tmp_path / "x.safetensors", "kohya")
    with pytest.raises(ConfigError, match="name no component; say which: --component video_dit or"):
        write_lora(Lora({UNNAMED: lora.layers["video_dit"]}), tmp_path / "x.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_one_adapter_for_two_components_is_written_for_both(tmp_path, lora):
    both = Lora({UNNAMED: lora.layers["video_dit"]}).assigned_to(["video_dit", "video_dit_2"])
    (file,) = write_lora(both, tmp_path / "x.safetensors")
    back = read_lora(file)
    same_updates(back.layers["video_dit"], back.layers["video_dit_2"])


def test_weights_are_not_taken_for_adapters():
    assert is_lora({"a.lora_B.default.weight": None})
    assert not is_lora({"blocks.0.self_attn.q.weight": None, "x.alpha": None})


def test_recommended_settings_travel_in_the_metadata_and_must_be_an_object(tmp_path, lora):
    settings = {"num_inference_steps": 4, "guidance_scale": 1.0, "sampler": "euler"}
    (file,) = write_lora(dataclasses.replace(lora, recommended=settings), tmp_path / "few.safetensors")
    assert read_lora(file).recommended == settings
    (plain,) = write_lora(lora, tmp_path / "plain.safetensors")
    assert read_lora(plain).recommended == {}
    save_file(load_file(file), tmp_path / "bad.safetensors", metadata={"recommended": "[4]"})
    with pytest.raises(CheckpointError, match=r"recommended in the metadata of .* must be a JSON object"):
        read_lora(tmp_path / "bad.safetensors")


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_float8_matrices_are_read_exactly_with_and_without_scales(tmp_path, dtype):
    torch.manual_seed(0)
    down, up = torch.randn(2, 4).to(dtype), torch.randn(6, 2).to(dtype)
    key = "model.diffusion_model.blocks.0.self_attn.q"
    tensors = {f"{key}.lora_A.weight": down, f"{key}.lora_B.weight": up, f"{key}.alpha": torch.tensor(4.0)}
    save_file(tensors, tmp_path / "x.safetensors")
    expected = 2 * (up.float() @ down.float())
    layer = read_lora(tmp_path / "x.safetensors").layers[UNNAMED]["blocks.0.self_attn.q"]
    assert torch.equal(layer.update(), expected)
    scales = {f"{key}.lora_A.scale_weight": torch.tensor(0.5), f"{key}.lora_B.weight_scale": torch.rand(6, 1)}
    marker = {"scaled_fp8": torch.zeros(2).to(dtype)}
    save_file(tensors | scales | marker, tmp_path / "x.safetensors")
    lora = read_lora(tmp_path / "x.safetensors")
    assert lora.strays == ()
    found = lora.layers[UNNAMED]["blocks.0.self_attn.q"].update()
    torch.testing.assert_close(found, 0.5 * scales[f"{key}.lora_B.weight_scale"] * expected)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("lora_A.weight", torch.ones(2, 4, dtype=torch.int8), "must hold floating-point numbers .*, got I8 in"),
        ("lora_A.weight", torch.ones(2, 4, dtype=torch.bool), "got BOOL in"),
        ("diff_b", torch.ones(6, dtype=torch.int64), "got I64 in 'blocks.0.self_attn.q.diff_b'"),
        ("diff", torch.full((6, 4), torch.inf), "NaN or infinity in blocks.0.self_attn.q"),
        ("lora_magnitude_vector", torch.ones(4), r"must hold 6 magnitudes for blocks.0.self_attn.q, got shape \[4\]"),
        ("lora_A.scale_weight", torch.ones(3), "one scale, or one for each row, of the down matrix"),
        ("lokr_w1", torch.ones(2, 2), "of a LoKr adapter, which is not read"),
        ("hada_w1_a", torch.ones(2, 2), "of a LoHa adapter, which is not read"),
        ("lora_mid.weight", torch.ones(2, 2), "Tucker-decomposed LoCon adapter, which is not read"),
    ],
)
def test_tensors_of_the_wrong_kind_are_refused_with_file_and_key(tmp_path, name, value, text):
    key = "blocks.0.self_attn.q"
    tensors = {
        f"{key}.lora_A.weight": torch.ones(2, 4),
        f"{key}.lora_B.weight": torch.ones(6, 2),
        f"{key}.{name}": value,
    }
    save_file(tensors, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=text) as caught:
        read_lora(tmp_path / "x.safetensors")
    assert "x.safetensors" in str(caught.value)


def test_a_bias_of_peft_is_scaled_as_the_update_is(tmp_path):
    key = "base_model.model.blocks.0.self_attn.q"
    tensors = {f"{key}.lora_A.weight": torch.ones(2, 4), f"{key}.lora_B.weight": torch.ones(6, 2)}
    save_file(
        tensors | {f"{key}.lora_B.bias": torch.ones(6), f"{key}.alpha": torch.tensor(6.0)}, tmp_path / "x.safetensors"
    )
    lora = read_lora(tmp_path / "x.safetensors")
    assert lora.differences[UNNAMED]["blocks.0.self_attn.q.bias"].tolist() == [3.0] * 6


def test_the_official_low_resource_layout_is_read_from_safetensors(tmp_path):
    tensors = {f"{name}.{path}.lora_{side}": torch.ones(2, 2) for name in ("video_dit", "audio_dit") for path in PATHS
               for side in "AB"}  # fmt: skip
    save_file(tensors, tmp_path / "x.safetensors")
    lora = read_lora(tmp_path / "x.safetensors")
    assert (lora.style, lora.strays, set(lora.layers)) == ("low_resource", (), {"video_dit", "audio_dit"})


# One folder for all: every example writes its files anew.
hundred = settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PARTS = (
    *("lora_A.weight", "lora_B.weight", "alpha", "dora_scale", "diff", "diff_b", "diff_m", "x"),
    *("lora_magnitude_vector", "lora_A", "lora_B", "lora_B.bias", "lora_down.scale_weight"),
)
SETTINGS = ("r", "lora_alpha", "use_rslora", "alpha_pattern", "rank_pattern", "use_dora", "bias", "peft_type")
HEADERS = ("lora_adapter_metadata", "lora_config", "ss_network_alpha", "ss_network_dim", "base_md5", "recommended")


@settings(
    max_examples=100, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    header=st.dictionaries(st.sampled_from(HEADERS), st.text(max_size=10) | JSON.map(json.dumps), max_size=3),
    config=st.dictionaries(st.sampled_from(("", "transformer.")).flatmap(
        lambda prefix: st.sampled_from(SETTINGS).map(lambda name: prefix + name)), JSON, max_size=4),
    beside=JSON | st.dictionaries(st.sampled_from(SETTINGS), JSON, max_size=4),
)  # fmt: skip
def test_random_headers_and_settings_are_read_or_refused(tmp_path, header, config, beside):
    """100 of them, always the same."""
    file = tmp_path / "adapter_model.safetensors"
    tensors = {"transformer.blocks.0.attn1.to_q.lora_A.weight": torch.ones(2, 4)}
    tensors["transformer.blocks.0.attn1.to_q.lora_B.weight"] = torch.ones(4, 2)
    for metadata in (header, {"lora_adapter_metadata": json.dumps(config)}):
        save_file(tensors, file, metadata=metadata)
        (tmp_path / "adapter_config.json").write_text(json.dumps(beside))
        try:
            assert read_lora(tmp_path).num_layers == 1
        except CheckpointError as error:
            assert len(str(error)) < 2000  # noqa: PT017 - either is right


@settings(
    max_examples=100, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    names=st.lists(st.sampled_from(PARTS), unique=True, max_size=5),
    shapes=st.lists(st.lists(st.integers(0, 4), max_size=3), min_size=5, max_size=5),
    dtypes=st.lists(st.sampled_from((torch.float32, torch.bfloat16, torch.int8, torch.float8_e5m2, torch.bool,
        torch.float64, torch.complex64)), min_size=5, max_size=5),
    prefix=st.sampled_from(("", "diffusion_model.", "video_dit.", "lora_unet_")),
)  # fmt: skip
def test_random_tensors_are_read_or_refused(tmp_path, names, shapes, dtypes, prefix):
    """100 files, always the same."""
    path = prefix + ("blocks_0_ffn_0" if prefix == "lora_unet_" else "blocks.0.ffn.0")
    zipped = zip(names, shapes, dtypes, strict=False)
    save_file(
        {f"{path}.{name}": torch.zeros(shape).to(dtype) for name, shape, dtype in zipped}, tmp_path / "x.safetensors"
    )
    try:
        lora = read_lora(tmp_path / "x.safetensors")
        fit_lora(lora, {"video_dit": {"blocks.0.ffn.0.weight": (4, 4), "blocks.0.ffn.0.bias": (4,)}})
    except CheckpointError as error:
        assert len(str(error)) < 5000  # noqa: PT017 - either is right
