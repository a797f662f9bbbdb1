"""What the parts of a model are called: experts, components, their published classes and their files.

Names on disk are those of the published checkpoints (`model_index.json` of MOVA-360p and MOVA-720p).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, get_args

Expert = Literal["high_noise", "low_noise"]
"""The video towers by the part of the noise levels that is theirs."""

Component = Literal["video_dit", "video_dit_2", "audio_dit", "dual_tower_bridge"]
"""The parts that denoise, by their folders in the published layout."""

COMPONENTS: Final[tuple[Component, ...]] = get_args(Component)
VIDEO_TOWER: Final[Component] = "video_dit"
AUDIO_TOWER: Final[Component] = "audio_dit"
BRIDGE: Final[Component] = "dual_tower_bridge"
TOWERS: Final = (VIDEO_TOWER, AUDIO_TOWER)
"""One tower of each modality: the second expert has the sizes of the first."""
SHARED_COMPONENTS: Final = (AUDIO_TOWER, BRIDGE)
"""What both experts compute with."""
EXPERTS: Final[Mapping[Expert, Component]] = {"high_noise": "video_dit", "low_noise": "video_dit_2"}
"""In the order in which a clip is denoised."""
VIDEO_AUTOENCODER: Final = "video_vae"
AUTOENCODERS: Final = (VIDEO_AUTOENCODER, "audio_vae")
FLOAT32_NETWORKS: Final = AUTOENCODERS
"""What stays in float32 on every device, but for the video decoder on a CPU (`mova.pipeline.precision`)."""
TEXT_ENCODER: Final = "text_encoder"
ENCODERS: Final = (TEXT_ENCODER, *AUTOENCODERS)
"""What stays frozen beside the components: it says nothing of the noise."""
NETWORKS: Final = (*AUTOENCODERS, TEXT_ENCODER, *COMPONENTS)
"""Everything that has weights."""
OPTIONAL_COMPONENTS: Final = ("video_dit_2",)
"""A model with one video tower uses it at every noise level."""

PUBLISHED_COMPONENTS: Final[Mapping[str, tuple[str, str]]] = {
    "audio_dit": ("mova.diffusion.models.wan_audio_dit", "WanAudioModel"),
    "audio_vae": ("mova.diffusion.models.dac_vae", "DAC"),
    "dual_tower_bridge": ("mova.diffusion.models.interactionv2", "DualTowerConditionalBridge"),
    "scheduler": ("mova.diffusion.schedulers.flow_match_pair", "FlowMatchPairScheduler"),
    "text_encoder": ("transformers", "UMT5EncoderModel"),
    "tokenizer": ("transformers", "T5TokenizerFast"),
    "video_dit": ("mova.diffusion.models.wan_video_dit", "WanModel"),
    "video_dit_2": ("mova.diffusion.models.wan_video_dit", "WanModel"),
    "video_vae": ("diffusers", "AutoencoderKLWan"),
}
"""Module path and class of each component, as `model_index.json` of the published models names them."""

# Files of a model's folder.
INDEX_FILE: Final = "model_index.json"
CONFIG_FILE: Final = "config.json"
DEFAULTS_FILE: Final = "mova_defaults.json"
SCOPE_FILE: Final = "mova_scope.json"
FEW_STEPS_FILE: Final = "few_steps.safetensors"
PREVIEW_FILE: Final = "preview.json"
QUANTIZATION_REPORT_FILE: Final = "quantization_report.json"

SHIPPED_MODELS: Final = Path(__file__).parent / "assets"
"""Models that come with the package, a folder each."""
SHIPPED_LORAS: Final = Path(__file__).parent / "assets" / "loras"
"""LoRAs that come with the package, a file each."""


def published_class(component: str) -> str:
    """Return the name of a component's class in the published checkpoints."""
    return PUBLISHED_COMPONENTS[component][1]


NO_SUBTITLES: Final = "This video has no subtitles."
"""The sentence that captions of clips without burned-in text carried when the published model learned from them."""
