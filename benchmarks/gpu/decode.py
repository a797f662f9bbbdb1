"""Rows of decoding: a clip's video and audio through autoencoders of the published sizes with random weights."""

from __future__ import annotations

from typing import Any

import torch

from gpu.joint import CLIPS, FRAME_RATE, configs_of
from gpu.work import GB, Work
from mova.bench.random_weights import fill_randomly
from mova.codecs.audio import decode_audio
from mova.codecs.video import decode_video
from mova.geometry import ClipGeometry
from mova.names import AUTOENCODERS, published_class
from mova.plan.memory import decoding_bytes
from mova.weights.components import build_empty
from mova.weights.dims import dims_from_configs


def measure(work: Work) -> dict[str, Any]:
    """Return seconds and peaks of decoding in float32, as a clip is decoded."""
    work.release()
    configs = configs_of(work.sizes)
    generator = torch.Generator(work.device).manual_seed(0)
    codecs: dict[str, Any] = {}
    for name in AUTOENCODERS:
        codec = build_empty(published_class(name), configs[name])
        fill_randomly(codec, torch.float32, generator)
        codecs[name] = codec.eval().requires_grad_(False)
    dims = dims_from_configs(work.sizes, configs, {"text_encoder": 0, "video_vae": 0, "audio_vae": 0})
    geometry = ClipGeometry(*CLIPS[work.sizes], FRAME_RATE, dims.codec)
    shapes = (1, *geometry.video_latent_shape), (1, *geometry.audio_latent_shape)
    video, audio = (torch.randn(shape, generator=generator, device=work.device) for shape in shapes)
    figures: dict[str, Any] = {"frames": geometry.num_frames, "size": f"{geometry.width}x{geometry.height}"}
    calls = {
        "video": lambda: decode_video(codecs["video_vae"], video),
        "audio": lambda: decode_audio(codecs["audio_vae"], audio),
    }
    for name, call in calls.items():
        work.free()
        work.start_peak()
        first, again = work.times(call, 1)
        figures |= {f"{name}, seconds": round(again, 4), f"{name}, first call, seconds": round(first, 3)}
        figures |= {f"{name}, {key}": value for key, value in work.peak().items()}
    figures["planned for the video, GB"] = round(decoding_bytes(dims, geometry, is_gpu=work.is_gpu) / GB, 2)
    figures["products of convolutions in TF32"] = bool(work.is_gpu and torch.backends.cudnn.allow_tf32)
    return figures
