"""The block formats of GGUF files, turned into numbers.

A tensor is a row of blocks; each holds 32 or 256 integers of few bits and what they are scaled by. The layouts are
those of ggml. Every function takes the bytes of N blocks, (N, bytes of one) uint8, and returns (N, values of one)
float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import torch

_AT_ONCE = 2**22


@dataclass(frozen=True)
class BlockType:
    """A way to store the numbers of a tensor.

    Attributes:
        name: in the words of ggml.
        num_values: number of values of a block.
        num_bytes: bytes of a block.
        decode: turns blocks into numbers; None where the bytes are numbers of `dtype`.
        dtype: dtype of the numbers that come out.
    """

    name: str
    num_values: int
    num_bytes: int
    decode: Callable[[torch.Tensor], torch.Tensor] | None = None
    dtype: torch.dtype = torch.float32


def decode_blocks(data: torch.Tensor, kind: BlockType, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Return the numbers of a tensor.

    Args:
        data: bytes of whole blocks, (N x `kind.num_bytes`,) uint8.
        kind: kind of the blocks.
        dtype: dtype of the result; by default that of the blocks, bfloat16 for numbers of few bits.

    Returns:
        (N x `kind.num_values`,).
    """
    if kind.decode is None:
        numbers: torch.Tensor = data.view(kind.dtype)
        return numbers if dtype is None else numbers.to(dtype)
    blocks = data.view(-1, kind.num_bytes)
    output = torch.empty(len(blocks), kind.num_values, dtype=dtype or torch.bfloat16)
    size = max(1, _AT_ONCE // kind.num_values)
    for part, found in zip(blocks.split(size), output.split(size), strict=True):
        found.copy_(kind.decode(part))
    return output.flatten()


def _half(blocks: torch.Tensor, start: int) -> torch.Tensor:
    """Return the float16 number at a place of each block, (N, 1)."""
    return blocks[:, start : start + 2].contiguous().view(torch.float16).float()


def _planes(packed: torch.Tensor, bits: int) -> torch.Tensor:
    """Take bytes apart: (..., K) to (..., 8 / bits, K), the lowest bits first."""
    shifts = torch.arange(0, 8, bits, dtype=torch.uint8).unsqueeze(1)
    planes: torch.Tensor = (packed.unsqueeze(-2) >> shifts) & (2**bits - 1)
    return planes


def _q4_0(blocks: torch.Tensor) -> torch.Tensor:
    return _half(blocks, 0) * (_planes(blocks[:, 2:], 4).flatten(1).float() - 8)


def _q4_1(blocks: torch.Tensor) -> torch.Tensor:
    return _half(blocks, 0) * _planes(blocks[:, 4:], 4).flatten(1).float() + _half(blocks, 2)


def _fifth_bits(blocks: torch.Tensor, start: int) -> torch.Tensor:
    """Return one bit for each of 32 values, at the place of the fifth."""
    return _planes(blocks[:, start : start + 4].unsqueeze(2), 1).flatten(1) << 4


def _q5_0(blocks: torch.Tensor) -> torch.Tensor:
    integers = _planes(blocks[:, 6:], 4).flatten(1) | _fifth_bits(blocks, 2)
    return _half(blocks, 0) * (integers.float() - 16)


def _q5_1(blocks: torch.Tensor) -> torch.Tensor:
    integers = _planes(blocks[:, 8:], 4).flatten(1) | _fifth_bits(blocks, 4)
    return _half(blocks, 0) * integers.float() + _half(blocks, 2)


def _q8_0(blocks: torch.Tensor) -> torch.Tensor:
    return _half(blocks, 0) * blocks[:, 2:].view(torch.int8).float()


def _six_bit_pairs(packed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return 8 scales and 8 minima of 6 bits from 12 bytes.

    The first four of each have a byte to themselves, whose two highest bits are those of the last four.
    """
    first, second, third = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    scales = torch.cat([first & 63, (third & 15) | ((first >> 6) << 4)], 1)
    minima = torch.cat([second & 63, (third >> 4) | ((second >> 6) << 4)], 1)
    return scales.float(), minima.float()


def _with_minima(blocks: torch.Tensor, integers: torch.Tensor) -> torch.Tensor:
    """Scale 8 groups of 32 integers, (N, 8, 32), by the heads of Q4_K and Q5_K blocks."""
    scales, minima = _six_bit_pairs(blocks[:, 4:16])
    scaled = (_half(blocks, 0) * scales).unsqueeze(2) * integers.float()
    return (scaled - (_half(blocks, 2) * minima).unsqueeze(2)).flatten(1)


def _scaled(scales: torch.Tensor, integers: torch.Tensor) -> torch.Tensor:
    """Scale 16 groups of 16 numbers, (N, 256), by (N, 16)."""
    return (scales.unsqueeze(2) * integers.view(-1, 16, 16)).flatten(1)


def _q4_k(blocks: torch.Tensor) -> torch.Tensor:
    return _with_minima(blocks, _planes(blocks[:, 16:].unflatten(1, (4, 32)), 4).flatten(1, 2))


def _q5_k(blocks: torch.Tensor) -> torch.Tensor:
    low = _planes(blocks[:, 48:].unflatten(1, (4, 32)), 4).flatten(1, 2)
    return _with_minima(blocks, low | (_planes(blocks[:, 16:48], 1) << 4))


def _q6_k(blocks: torch.Tensor) -> torch.Tensor:
    # Two halves of 128 values: 64 bytes of low bits and 32 of high ones each.
    low = _planes(blocks[:, :128].unflatten(1, (2, 64)), 4).flatten(1)
    high = _planes(blocks[:, 128:192].unflatten(1, (2, 32)), 2).flatten(1)
    integers = (low | (high << 4)).float() - 32
    scales = _half(blocks, 208) * blocks[:, 192:208].view(torch.int8).float()
    return _scaled(scales, integers)


def _q3_k(blocks: torch.Tensor) -> torch.Tensor:
    low = _planes(blocks[:, 32:96].unflatten(1, (2, 32)), 2).flatten(1)
    # Where the bit is not set, the value is 4 lower.
    integers = low.float() - 4 * (1 - _planes(blocks[:, :32], 1).flatten(1).float())
    packed = blocks[:, 96:108]
    six_bits = _planes(packed[:, :8], 4).flatten(1) | (_planes(packed[:, 8:], 2).flatten(1) << 4)
    scales = _half(blocks, 108) * (six_bits.float() - 32)
    return _scaled(scales, integers)


def _q2_k(blocks: torch.Tensor) -> torch.Tensor:
    integers = _planes(blocks[:, 16:80].unflatten(1, (2, 32)), 2).flatten(1).float()
    scales, minima = _half(blocks, 80) * (blocks[:, :16] & 15), _half(blocks, 82) * (blocks[:, :16] >> 4)
    return _scaled(scales, integers) - minima.repeat_interleave(16, 1)


BLOCK_TYPES: Final[Mapping[int, BlockType]] = {
    0: BlockType("F32", 1, 4),
    1: BlockType("F16", 1, 2, dtype=torch.float16),
    2: BlockType("Q4_0", 32, 18, _q4_0),
    3: BlockType("Q4_1", 32, 20, _q4_1),
    6: BlockType("Q5_0", 32, 22, _q5_0),
    7: BlockType("Q5_1", 32, 24, _q5_1),
    8: BlockType("Q8_0", 32, 34, _q8_0),
    10: BlockType("Q2_K", 256, 84, _q2_k),
    11: BlockType("Q3_K", 256, 110, _q3_k),
    12: BlockType("Q4_K", 256, 144, _q4_k),
    13: BlockType("Q5_K", 256, 176, _q5_k),
    14: BlockType("Q6_K", 256, 210, _q6_k),
    30: BlockType("BF16", 1, 2, dtype=torch.bfloat16),
}
"""By ggml's number of the type."""
