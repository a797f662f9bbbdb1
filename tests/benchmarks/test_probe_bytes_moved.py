"""The count of bytes that a forward moves on a GPU."""

from __future__ import annotations

import sys
from pathlib import Path

from mova.geometry import ClipGeometry
from mova.models import presets
from mova.models.attention import AttentionDispatch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from probe_bytes_moved import count_forward


def test_tokens_in_bfloat16_are_never_copied_to_float32_for_a_gated_sum():
    configs, geometry, kernels = presets.tiny(), ClipGeometry(96, 96, 13), list(AttentionDispatch.kernels)
    counted = count_forward(geometry, configs, num_prompt=8)
    tokens = 0
    for name, length in (("video_dit", geometry.num_video_tokens), ("audio_dit", geometry.num_audio_latents)):
        dim, layers = configs[name]["dim"], configs[name]["num_layers"]
        # Two sums per block: two values of two bytes are read, one is written, and a gate in float32 is read.
        tokens += layers * 2 * (3 * 2 * length * dim + 4 * dim)
    assert counted.moved["addcmul.out"] == tokens
    assert AttentionDispatch.kernels == kernels
