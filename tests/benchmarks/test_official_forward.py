"""The official code is imported in the place of ours, gets our weights, and leaves our package as it was."""

import sys
from pathlib import Path

import pytest
import torch

import mova
from mova.errors import ConfigError

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import official_forward
from official_forward import OfficialForward

FILES = {
    "mova/__init__.py": "",
    "mova/registry.py": "from mmengine.registry import Registry\nPIPELINES = Registry('pipelines')\n",
    "mova/diffusion/__init__.py": "",
    "mova/diffusion/models/__init__.py": "from .wan_video_dit import WanModel\n",
    "mova/diffusion/models/wan_video_dit.py": """
import torch
from yunchang import LongContextAttention
from yunchang.kernels import AttnType

class Part(torch.nn.Module):
    def __init__(self, **sizes):
        super().__init__()
        self.sizes = sizes

    def load_state_dict(self, state, strict):
        assert strict
        self.dtype, self.number = torch.float32, len(state)

class WanModel(Part):
    def __init__(self, dim, num_layers):
        super().__init__(dim=dim, num_layers=num_layers)

class USPAttention(LongContextAttention):
    pass
""",
    "mova/diffusion/models/wan_audio_dit.py": """
from .wan_video_dit import Part

class WanAudioModel(Part):
    def __init__(self, dim):
        super().__init__(dim=dim)
""",
    "mova/diffusion/models/interactionv2.py": """
from mova.diffusion.models.wan_video_dit import Part

class DualTowerConditionalBridge(Part):
    def __init__(self, head_dim):
        super().__init__(head_dim=head_dim)
""",
    "mova/diffusion/pipelines/pipeline_mova.py": """
import ftfy
from mova.registry import PIPELINES

@PIPELINES.register_module()
class MOVA:
    def inference_single_step(
        self, visual_dit, visual_latents, audio_latents, context, timestep, audio_timestep, video_fps
    ):
        numbers = (visual_dit.number, self.audio_dit.number, self.dual_tower_bridge.number)
        assert video_fps == 24.0 and all(numbers)
        return visual_latents * timestep, audio_latents * audio_timestep + context.sum()
""",
}


@pytest.fixture
def joint(make_dual_tower, monkeypatch):
    def refuse(_):
        raise ConfigError("no compiler")

    monkeypatch.setattr(official_forward, "check_compiler", refuse)
    return make_dual_tower()


@pytest.fixture
def clone(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("mova.diffusion.models")]:
        del sys.modules[name]


def test_it_computes_with_what_the_clone_has_and_ours_comes_back(clone, joint):
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "mova"}
    forward = OfficialForward(clone, joint)
    assert {name: sys.modules[name] for name in before} == before
    assert sys.modules["mova"] is mova
    assert "yunchang" not in sys.modules
    video, audio, times, text = torch.ones(1, 2, 1, 2, 2), torch.ones(1, 3, 4), torch.tensor([2.0]), torch.zeros(1, 4)
    made = forward(video, audio, times, 2 * times, text, frame_rate=24.0)
    assert torch.equal(made.video, 2 * video)
    assert torch.equal(made.audio, 4 * audio)
    assert forward.words == "the official code in float32, without compilation: no compiler here"


def test_a_folder_that_is_no_clone_is_refused(tmp_path, joint):
    with pytest.raises(ConfigError, match="official must be a clone of the official repository"):
        OfficialForward(tmp_path, joint)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("mova/diffusion/models/wan_audio_dit.py", "import no_such_package", "needs no_such_package"),
        ("mova/diffusion/models/wan_audio_dit.py", "", "of a version that this script does not know"),
        ("mova/diffusion/pipelines/pipeline_mova.py", "", "has no class with inference_single_step"),
    ],
)
def test_a_clone_that_cannot_serve_is_refused(clone, joint, file, text, said):
    (clone / file).write_text(text)
    with pytest.raises(ConfigError, match=said):
        OfficialForward(clone, joint)
    assert sys.modules["mova"] is mova
