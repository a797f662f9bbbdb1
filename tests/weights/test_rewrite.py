"""Inspect, verify and convert on the recorded checkpoint (tiny random weights in the published layout)."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mova.errors import CheckpointError, ConfigError
from mova.models.audio_vae import AudioAutoencoder
from mova.weights import rewrite as weights
from mova.weights.components import load_component, write_component
from mova.weights.files import key_shape_md5
from mova.weights.quantize.report import read_reports
from mova.weights.rewrite import PUBLISHED_MD5, convert_weights, inspect_weights, verify_weights

NUMERICS = Path(__file__).parents[1] / "numerics"
CHECKPOINT = NUMERICS / "records" / "pipeline_checkpoint"
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(CHECKPOINT, folder)
    return folder


def edit_weights(file, change):
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})


def test_inspect_lists_every_component_with_its_published_class():
    reports = {report.name: report for report in inspect_weights(CHECKPOINT)}
    assert {name: report.class_name for name, report in reports.items()} == {
        "audio_dit": "WanAudioModel",
        "audio_vae": "DAC",
        "dual_tower_bridge": "DualTowerConditionalBridge",
        "text_encoder": "UMT5EncoderModel",
        "video_dit": "WanModel",
        "video_dit_2": "WanModel",
        "video_vae": "AutoencoderKLWan",
    }
    assert reports["video_dit"].num_parameters == 224_284
    assert reports["video_dit"].dtypes == {"F32": 123}
    assert reports["video_dit"].size_bytes == (CHECKPOINT / "video_dit" / WEIGHTS).stat().st_size
    assert reports["video_dit"].published_as is None


def test_inspect_takes_a_component_and_a_file_too():
    (component,) = inspect_weights(CHECKPOINT / "audio_dit")
    (file,) = inspect_weights(CHECKPOINT / "audio_dit" / WEIGHTS)
    assert (component.class_name, file.class_name) == ("WanAudioModel", "")
    assert component.md5 == file.md5


@pytest.mark.parametrize(
    ("manifest", "known"),
    [
        ("video_dit_a14b", "video tower of MOVA (A14B)"),
        ("audio_dit_1_3b", "audio tower of MOVA (1.3B)"),
        ("bridge_full", "bridge of MOVA (2.6B)"),
        ("audio_vae_dac48k", "audio autoencoder of MOVA (48 kHz)"),
        ("bridge_progressive", None),
    ],
)
def test_published_components_are_recognised_by_their_fingerprint(manifest, known):
    shapes = json.loads((NUMERICS / "manifests" / f"{manifest}.json").read_text())
    assert PUBLISHED_MD5.get(key_shape_md5(shapes)) == known


def test_inspect_refuses_what_is_no_model(tmp_path):
    with pytest.raises(CheckpointError, match=r"model_index\.json or config\.json, or a safetensors file"):
        inspect_weights(tmp_path)


def test_verify_passes_on_the_recorded_checkpoint():
    assert verify_weights(CHECKPOINT)["video_vae"] == 146


def test_verify_names_the_first_missing_tensor_and_the_counts(model):
    edit_weights(model / "video_dit" / WEIGHTS, lambda tensors: tensors.pop("blocks.1.ffn.0.bias"))
    with pytest.raises(
        CheckpointError, match=r"'blocks\.1\.ffn\.0\.bias' is missing; 1 missing, 0 extra, 0 mis-shaped"
    ):
        verify_weights(model)


def test_verify_names_an_extra_tensor(model):
    edit_weights(model / "audio_dit" / WEIGHTS, lambda tensors: tensors.update(surplus=torch.zeros(2)))
    with pytest.raises(CheckpointError, match=r"'surplus' does not belong there; 0 missing, 1 extra, 0 mis-shaped"):
        verify_weights(model)


def test_verify_names_a_misshaped_tensor(model):
    edit_weights(
        model / "dual_tower_bridge" / WEIGHTS,
        lambda tensors: tensors.update({"audio_to_video_conditioners.0.inner.q.bias": torch.zeros(7)}),
    )
    with pytest.raises(CheckpointError, match=r"inner\.q\.bias' is \[7\] and must be \[60\]; .* 1 mis-shaped"):
        verify_weights(model)


def test_verify_names_a_truncated_file(model):
    file = model / "video_vae" / WEIGHTS
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"video_vae.*damaged or cut short"):
        verify_weights(model)


def test_verify_names_a_wrong_class(model):
    shutil.copy(model / "audio_dit" / "config.json", model / "video_dit" / "config.json")
    with pytest.raises(CheckpointError, match=r"video_dit must hold a WanModel, its config\.json says WanAudioModel"):
        verify_weights(model)


def test_verify_reports_every_component_at_fault(model):
    for part in ("video_dit", "audio_dit"):
        edit_weights(model / part / WEIGHTS, lambda tensors: tensors.pop("head.modulation"))
    with pytest.raises(CheckpointError) as caught:
        verify_weights(model)
    assert str(caught.value).count("'head.modulation' is missing") == 2


def test_verify_names_an_absent_component(model):
    shutil.rmtree(model / "audio_vae")
    with pytest.raises(CheckpointError, match=r"must hold the folder audio_vae"):
        verify_weights(model)


def manifest_of(folder):
    return {key: list(tensor.shape) for key, tensor in load_file(folder / WEIGHTS).items()}


def test_a_manifest_of_one_component_is_checked_besides(model, tmp_path):
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps(manifest_of(model / "audio_dit")))
    assert verify_weights(model / "audio_dit", manifest) == {"audio_dit": 96}
    manifest.write_text(json.dumps({**manifest_of(model / "audio_dit"), "one.more": [2, 3]}))
    with pytest.raises(CheckpointError, match=r"'one\.more' is absent and must be \[2, 3\] \(6 values\); 1 missing"):
        verify_weights(model / "audio_dit", manifest)


def test_a_manifest_of_a_model_is_checked_by_component(model, tmp_path):
    manifest = tmp_path / "manifest.json"
    shapes = manifest_of(model / "audio_dit")
    shapes["head.modulation"] = [1, 2, 3]
    manifest.write_text(json.dumps({"audio_dit": shapes, "upsampler": {}}))
    with pytest.raises(CheckpointError) as caught:
        verify_weights(model, manifest)
    assert "upsampler is named by the manifest and missing" in str(caught.value)
    assert "'head.modulation' is [1, 2, 40] (80 values) and must be [1, 2, 3] (6 values)" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "rule"),
    [("[]", "must be a JSON object"), ("{", "must be JSON"), ('{"a": ["x"]}', "one"), ('{"a": [1]}', "one")],
)
def test_a_manifest_that_does_not_fit_is_refused(model, tmp_path, content, rule):
    manifest = tmp_path / "manifest.json"
    manifest.write_text(content)
    with pytest.raises(CheckpointError, match=rule):
        verify_weights(model, manifest)


def test_convert_changes_dtype_and_shards_and_nothing_else(model, tmp_path):
    target = convert_weights(model, tmp_path / "new", dtype="bf16", max_shard_size="300KB")
    assert verify_weights(target) == verify_weights(model)
    for report in inspect_weights(target):
        assert set(report.dtypes) == {"BF16"}
    shards = sorted((target / "video_dit").glob("*.safetensors"))
    assert len(shards) == 2
    assert max(shard.stat().st_size for shard in shards) < 330_000
    before = load_component(model / "video_dit").state_dict()
    after = load_component(target / "video_dit", dtype=torch.float32).state_dict()
    for key, tensor in before.items():
        torch.testing.assert_close(after[key], tensor.bfloat16().float(), atol=0, rtol=0, msg=key)
    for name in ("model_index.json", "tokenizer/tokenizer.json", "scheduler/scheduler_config.json"):
        assert (target / name).read_bytes() == (model / name).read_bytes()


def test_convert_without_a_dtype_keeps_every_value(model, tmp_path):
    target = convert_weights(model, tmp_path / "new")
    for part in ("video_vae", "text_encoder"):
        before, after = (load_component(folder / part).state_dict() for folder in (model, target))
        assert all(torch.equal(before[key], after[key]) for key in before)


def test_convert_folds_weight_norm_without_changing_the_sound(model, tmp_path):
    torch.manual_seed(0)
    normed = AudioAutoencoder(
        encoder_dim=2, encoder_rates=[2, 3, 4, 5, 8], latent_dim=16, decoder_dim=64, use_weight_norm=True
    ).eval()
    write_component(normed, model / "audio_vae")
    target = convert_weights(model, tmp_path / "new", fold_weight_norm=True)
    folded = load_component(target / "audio_vae")
    assert not any(key.endswith("weight_g") for key in folded.state_dict())
    latents = torch.randn(1, 16, 3)
    with torch.no_grad():
        torch.testing.assert_close(folded.decode(latents), normed.decode(latents), atol=1e-6, rtol=1e-5)


def test_convert_refuses_to_fold_where_there_is_nothing_to_fold(model, tmp_path):
    with pytest.raises(ConfigError, match="has weight norm to fold"):
        convert_weights(model, tmp_path / "new", fold_weight_norm=True)


def test_convert_refuses_an_unknown_dtype_and_an_existing_target(model, tmp_path):
    with pytest.raises(ConfigError, match=r"dtype must be one of bf16, float32, got 'fp8'"):
        convert_weights(model, tmp_path / "new", dtype="fp8")
    with pytest.raises(ConfigError, match="the target must not exist yet"):
        convert_weights(model, tmp_path)


def test_convert_leaves_nothing_behind_where_the_source_is_damaged(model, tmp_path):
    edit_weights(model / "video_dit" / WEIGHTS, lambda tensors: tensors.pop("head.modulation"))
    with pytest.raises(CheckpointError, match="1 missing"):
        convert_weights(model, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("size", ["lots", "0MB", "-5GB", "16"])
def test_convert_refuses_a_shard_size_that_is_none(model, tmp_path, size):
    with pytest.raises(ConfigError, match="max_shard_size must be a number with KB, MB or GB"):
        convert_weights(model, tmp_path / "new", max_shard_size=size)


@pytest.mark.parametrize("method", ["float8", "int8", "nf4"])
def test_convert_quantizes_towers_and_bridge_and_nothing_else(model, tmp_path, method):
    target = convert_weights(model, tmp_path / "new", quantize=method)
    found = {report.name: report for report in inspect_weights(target)}
    quantized = {name for name, report in found.items() if report.quantization == method}
    assert quantized == {"video_dit", "video_dit_2", "audio_dit", "dual_tower_bridge"}
    assert {report.quantization for name, report in found.items() if name not in quantized} == {None}
    counts = verify_weights(model)
    for name, number in verify_weights(target).items():
        errors = read_reports(target)[name].errors if name in quantized else {}
        assert number == counts[name] + len(errors), name
        assert all(0 < error < 0.2 for error in errors.values())
    for part in ("video_vae", "text_encoder"):
        before, after = (load_component(folder / part).state_dict() for folder in (model, target))
        assert all(torch.equal(before[key], after[key]) for key in before)
    # Other shards of it: the same weights, and the report still lies beside them.
    again = convert_weights(target, tmp_path / "again", max_shard_size="50KB")
    assert verify_weights(again) == verify_weights(target)
    assert read_reports(again) == read_reports(target)


def test_convert_quantizes_one_component_alone(model, tmp_path):
    target = convert_weights(model / "audio_dit", tmp_path / "packed_tower", quantize="float8")
    assert verify_weights(target) == {"packed_tower": 96 + 30}
    assert list(read_reports(target)) == ["packed_tower"]


def test_convert_refuses_what_cannot_be_quantized(model, tmp_path):
    with pytest.raises(ConfigError, match="quantisation must be float8, float8_linear, int8 or nf4, got 'fp4'"):
        convert_weights(model, tmp_path / "new", quantize="fp4")
    target = convert_weights(model, tmp_path / "new", quantize="float8")
    with pytest.raises(ConfigError, match=r"quantised once, got .* in float8 already; take the plain model"):
        convert_weights(target, tmp_path / "newer", quantize="int8")
    assert {path.name for path in tmp_path.iterdir()} == {"model", "new"}


def test_convert_leaves_nothing_where_quantizing_breaks_off(model, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(weights, "write_report", stop)
    with pytest.raises(KeyboardInterrupt):
        convert_weights(model, tmp_path / "new", quantize="float8")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
