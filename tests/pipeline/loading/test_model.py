import json
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from mova.errors import CheckpointError
from mova.pipeline.load import load_pipeline
from mova.pipeline.loading import model as reading
from mova.pipeline.pipeline import MovaPipeline

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def damaged(checkpoint, tmp_path, monkeypatch):
    """A copy of the checkpoint to damage; reading any weights of it fails the test."""
    folder = tmp_path / "model"
    shutil.copytree(checkpoint, folder)

    def refuse(*_, **__):
        raise AssertionError("weights were read before everything was checked")

    monkeypatch.setattr(reading, "load_component", refuse)
    return folder


def edit_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_weights(folder, change):
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)


def test_published_directory_becomes_a_pipeline_of_our_classes(pipe):
    names = {name: type(part).__name__ for name, part in pipe.components.items()}
    assert names["video_dit"] == names["video_dit_2"] == "VideoTower"
    assert (names["audio_dit"], names["dual_tower_bridge"], names["audio_vae"]) == (
        "AudioTower",
        "CrossModalBridge",
        "AudioAutoencoder",
    )
    assert pipe.config.boundary_ratio == 0.9
    assert not any(part.training for part in pipe.components.values() if isinstance(part, torch.nn.Module))


def test_convolutions_are_folded_for_the_cpu(pipe):
    from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d

    parts = [part for part in pipe.video_vae.modules() if isinstance(part, WanCausalConv3d)]
    assert parts
    assert all("_conv_forward" in vars(part) for part in parts)


def test_dtype_is_that_of_the_towers_and_autoencoders_stay_in_float32(checkpoint):
    pipeline = MovaPipeline.from_pretrained(checkpoint, torch_dtype=torch.bfloat16)
    assert pipeline.video_dit.blocks[0].ffn[0].weight.dtype == torch.bfloat16
    assert pipeline.text_encoder.dtype == torch.bfloat16
    assert {parameter.dtype for parameter in pipeline.video_vae.parameters()} == {torch.float32}
    assert {parameter.dtype for parameter in pipeline.audio_vae.parameters()} == {torch.float32}
    pipeline.set_progress_bar_config(disable=True)
    result = pipeline("a dog", height=32, width=32, num_frames=5, num_inference_steps=2, seed=0, output_type="latent")
    assert result.frames.dtype == result.audio.dtype == torch.float32


def test_missing_tensor_is_named(damaged):
    edit_weights(
        damaged / "dual_tower_bridge", lambda tensors: tensors.pop("audio_to_video_conditioners.0.inner.q.bias")
    )
    with pytest.raises(
        CheckpointError, match=r"'audio_to_video_conditioners\.0\.inner\.q\.bias' is missing; 1 missing, 0 extra"
    ):
        load_pipeline(damaged)


def test_extra_tensor_is_named(damaged):
    edit_weights(damaged / "audio_dit", lambda tensors: tensors.update(surprise=torch.zeros(2)))
    with pytest.raises(CheckpointError, match="'surprise' does not belong there; 0 missing, 1 extra"):
        load_pipeline(damaged)


def test_misshaped_tensor_is_named(damaged):
    edit_weights(damaged / "video_vae", lambda tensors: tensors.update({"quant_conv.bias": torch.zeros(3)}))
    with pytest.raises(
        CheckpointError, match=r"'quant_conv\.bias' is \[3\] and must be \[32\]; 0 missing, 0 extra, 1 mis-shaped"
    ):
        load_pipeline(damaged)


def test_truncated_file_is_an_error(damaged):
    file = damaged / "video_dit_2" / WEIGHTS
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match=r"video_dit_2.*(damaged|cut short|truncated)"):
        load_pipeline(damaged)


def test_wrong_class_in_the_index_or_the_config_is_an_error(damaged):
    edit_json(damaged / "model_index.json", audio_vae=["x", "Oobleck"])
    with pytest.raises(CheckpointError, match=r"audio_vae in .* must be a DAC, got 'Oobleck'"):
        load_pipeline(damaged)
    edit_json(damaged / "model_index.json", audio_vae=["x", "DAC"])
    edit_json(damaged / "audio_dit" / "config.json", _class_name="WanModel")
    with pytest.raises(CheckpointError, match="must hold a WanAudioModel"):
        load_pipeline(damaged)


def test_missing_component_or_folder_is_an_error(damaged):
    edit_json(damaged / "model_index.json", tokenizer=[None, None])
    with pytest.raises(CheckpointError, match=r"must name tokenizer \(T5TokenizerFast\), got none"):
        load_pipeline(damaged)
    edit_json(damaged / "model_index.json", tokenizer=["transformers", "T5TokenizerFast"])
    shutil.rmtree(damaged / "tokenizer")
    with pytest.raises(CheckpointError, match="must hold the folder tokenizer"):
        load_pipeline(damaged)


def test_wrong_scheduler_is_an_error(damaged):
    config = damaged / "scheduler" / "scheduler_config.json"
    edit_json(config, _class_name="DDIMScheduler")
    with pytest.raises(CheckpointError, match="must hold a FlowMatchPairScheduler, its config says 'DDIMScheduler'"):
        load_pipeline(damaged)
    edit_json(config, _class_name="FlowMatchPairScheduler", surprise=1)
    with pytest.raises(CheckpointError, match="surprise"):
        load_pipeline(damaged)


def test_one_video_tower_is_enough(checkpoint, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(checkpoint, folder)
    shutil.rmtree(folder / "video_dit_2")
    edit_json(folder / "model_index.json", video_dit_2=[None, None])
    assert load_pipeline(folder).video_dit_2 is None


def test_loading_and_generating_says_nothing_on_the_streams():
    code = (
        "import mova; pipe = mova.MovaPipeline.from_pretrained('mova-tiny', device='cpu'); "
        "pipe.set_progress_bar_config(disable=True); "
        "pipe('a ball', seed=1, num_frames=5, height=64, width=64, num_inference_steps=1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=900, check=True)
    assert (done.stdout, done.stderr) == ("", "")
