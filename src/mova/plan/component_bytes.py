"""Bytes of a model's weights, component by component and block by block, from dimensions alone (no torch here)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mova.names import AUDIO_TOWER, BRIDGE, EXPERTS, FLOAT32_NETWORKS, TEXT_ENCODER
from mova.weights.dims import BridgeDims, ModelDims, TowerDims
from mova.weights.quantize.layout import Method, check_method, quantized_bytes

FLOAT32_BYTES = 4
BFLOAT16_BYTES = 2


def element_bytes_on(*, is_gpu: bool) -> int:
    """Return the bytes of a number that towers compute with: bfloat16 on a GPU, float32 on a CPU."""
    return BFLOAT16_BYTES if is_gpu else FLOAT32_BYTES


@dataclass(frozen=True)
class Precision:
    """In how many bytes weights are kept.

    Attributes:
        element_bytes: bytes of a floating-point weight; parts that are sensitive stay in float32.
        quantization: method that quantises the large linear layers of towers and bridge, or None.
    """

    element_bytes: int
    quantization: Method | None = None

    def linear(self, wide_in: int, wide_out: int) -> int:
        """Return the bytes of a large linear layer with its bias."""
        bias = wide_out * self.element_bytes
        if self.quantization is None:
            return wide_in * wide_out * self.element_bytes + bias
        return quantized_bytes(wide_out, wide_in, self.quantization) + bias


@dataclass(frozen=True)
class ComponentBytes:
    """Bytes of one component.

    Attributes:
        outside: bytes of what belongs to no block.
        sequences: bytes of each block in the order of their calls, for each block sequence (a bridge has one per
            direction); empty where blocks do not take turns.
    """

    outside: int
    sequences: tuple[tuple[int, ...], ...] = ()

    @property
    def blocks(self) -> int:
        """All blocks together."""
        return sum(map(sum, self.sequences))

    @property
    def total(self) -> int:
        """The whole component."""
        return self.outside + self.blocks

    @property
    def slots(self) -> int:
        """Bytes of the block in use and the prefetched one, in every block sequence."""
        return sum(2 * max(sequence) for sequence in self.sequences if sequence)


def component_bytes(
    model: ModelDims, element_bytes: int, quantization: str | None = None, *, stored: bool = False
) -> dict[str, ComponentBytes]:
    """Return the bytes of each component by folder.

    Args:
        model: dimensions.
        element_bytes: bytes of a weight of towers, bridge and text encoder: 2 on a GPU, 4 on a CPU; autoencoders are
            float32.
        quantization: method for towers and bridge, None for plain weights.
        stored: count everything with `element_bytes`, as a file of that dtype has it.
    """
    precision = Precision(element_bytes, None if quantization is None else check_method(quantization))
    sensitive = element_bytes if stored else FLOAT32_BYTES
    experts = tuple(EXPERTS.values())[: model.num_experts]
    text = model.fixed_parameters.get(TEXT_ENCODER, 0)
    embeddings = min(model.text_embedding_parameters, text)
    layers = model.num_text_layers
    parts: dict[str, ComponentBytes] = {
        **dict.fromkeys(experts, _tower(model.video, precision, sensitive)),
        AUDIO_TOWER: _tower(model.audio, precision, sensitive),
        BRIDGE: _bridge(model.bridge, precision, sensitive),
        TEXT_ENCODER: ComponentBytes(
            embeddings * element_bytes, (((text - embeddings) * element_bytes // layers,) * layers,) if layers else ()
        ),
    }
    for name in FLOAT32_NETWORKS:
        parts[name] = ComponentBytes(model.fixed_parameters.get(name, 0) * sensitive)
    return parts


def _tower(tower: TowerDims, precision: Precision, sensitive: int) -> ComponentBytes:
    dim, cells, size = tower.dim, math.prod(tower.patch_size), precision.element_bytes
    block = (
        8 * precision.linear(dim, dim)
        + precision.linear(dim, tower.ffn_dim)
        + precision.linear(tower.ffn_dim, dim)
        + 4 * dim * size  # norms of queries and keys
        + 8 * dim * sensitive  # norm3 and modulation
    )
    plain = tower.in_dim * cells * dim + tower.text_dim * dim + dim * dim + dim * tower.out_dim * cells
    biases = 3 * dim + tower.out_dim * cells
    time = tower.freq_dim * dim + dim * dim + 6 * dim * dim + 8 * dim
    outside = (plain + biases) * size + (time + 2 * dim) * sensitive
    return ComponentBytes(outside, ((block,) * tower.num_layers,))


def _bridge(bridge: BridgeDims, precision: Precision, sensitive: int) -> ComponentBytes:
    def layer(query: int, condition: int) -> int:
        linears = 2 * precision.linear(query, query) + 2 * precision.linear(condition, query)
        return linears + 2 * query * precision.element_bytes + 2 * condition * sensitive

    video, audio = bridge.video_dim, bridge.audio_dim
    return ComponentBytes(
        0,
        (
            (layer(video, audio),) * bridge.num_audio_to_video,
            (layer(audio, video),) * bridge.num_video_to_audio,
        ),
    )
