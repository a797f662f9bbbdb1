"""Bytes of towers and bridge with packed weights, counted from their dimensions (no torch here)."""

from __future__ import annotations

from collections.abc import Iterator

from mova.generate.dims import BridgeDims, ModelDims, TowerDims
from mova.models.packed_layout import Method, packed_bytes

_BFLOAT16_BYTES = 2


def packed_weights_bytes(model: ModelDims, method: Method, *, other_bytes: int = _BFLOAT16_BYTES) -> dict[str, int]:
    """Return the bytes of each component that is packed: all experts, the audio tower and the bridge.

    Args:
        model: its dimensions.
        method: how the large linear layers are packed.
        other_bytes: per value of what stays as it is: embeddings, norms, modulation, biases and heads.
    """
    parts: dict[str, TowerDims | BridgeDims] = {name: model.video for name in model.parameters if "video_dit" in name}
    parts |= {"audio_dit": model.audio, "dual_tower_bridge": model.bridge}
    sizes = {}
    for name, dims in parts.items():
        layers = list(packed_layer_shapes(dims))
        packed = sum(packed_bytes(wide_out, wide_in, method) for wide_out, wide_in in layers)
        others = dims.num_parameters - sum(wide_out * wide_in for wide_out, wide_in in layers)
        sizes[name] = packed + other_bytes * others
    return sizes


def packed_layer_shapes(dims: TowerDims | BridgeDims) -> Iterator[tuple[int, int]]:
    """Yield (out, in) of every layer that is packed; which those are: `mova.models.quantize.quantizable_layers`."""
    if isinstance(dims, BridgeDims):
        for number, query, condition in (
            (dims.num_audio_to_video, dims.video_dim, dims.audio_dim),
            (dims.num_video_to_audio, dims.audio_dim, dims.video_dim),
        ):
            yield from number * [(query, query), (query, condition), (query, condition), (query, query)]
        return
    attention = 4 * [(dims.dim, dims.dim)]
    yield from dims.num_layers * [*attention, *attention, (dims.ffn_dim, dims.dim), (dims.dim, dims.ffn_dim)]
