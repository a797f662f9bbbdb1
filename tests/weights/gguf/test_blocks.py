"""Block formats against another implementation and by hand."""

import ast
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch

from mova.weights.gguf import blocks as gguf_blocks
from mova.weights.gguf.blocks import BLOCK_TYPES, BlockType, decode_blocks

BY_NAME = {kind.name: kind for kind in BLOCK_TYPES.values()}
FEW_BITS = [kind.name for kind in BLOCK_TYPES.values() if kind.decode]


@pytest.fixture(scope="module")
def reference():
    """diffusers' functions, taken out of a file that cannot be imported without the package `gguf`."""
    file = Path(diffusers.__file__).parent / "quantizers" / "gguf" / "utils.py"
    wanted = ("dequantize_blocks_", "split_block_dims", "get_scale_min", "to_uint32")
    body = [
        node
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith(wanted)
    ]
    found = {"torch": torch, "QK_K": 256, "K_SCALE_SIZE": 12}
    exec(compile(ast.Module(body, []), str(file), "exec"), found)
    return found


def draw(kind, number, seed=0):
    """Blocks of random bytes, whose float16 numbers are finite."""
    blocks = torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (number, kind.num_bytes), dtype=np.uint8))
    places = {"Q2_K": (80, 82), "Q3_K": (108,), "Q6_K": (208,), "Q4_0": (0,), "Q5_0": (0,), "Q8_0": (0,)}
    for place in places.get(kind.name, (0, 2)):
        halves = torch.linspace(0.01, 0.3, number).half()
        blocks[:, place : place + 2] = halves.view(torch.uint8).view(number, 2)
    return blocks


@pytest.mark.parametrize("name", FEW_BITS)
def test_every_format_is_read_as_another_implementation_reads_it(name, reference):
    kind = BY_NAME[name]
    blocks = draw(kind, 50)
    theirs = reference[f"dequantize_blocks_{name}"](blocks, kind.num_values, kind.num_bytes, torch.float32)
    found = decode_blocks(blocks.flatten(), kind, torch.float32)
    torch.testing.assert_close(found.view(50, -1), theirs.view(50, -1), rtol=1e-6, atol=1e-6)
    assert found.unique().numel() > 50
    halved = decode_blocks(blocks.flatten(), kind)
    assert torch.equal(halved, found.bfloat16())


def test_a_block_by_hand():
    numbers = np.arange(-16, 16, dtype=np.int8)
    block = np.concatenate([np.array([0.5], np.float16).view(np.uint8), numbers.view(np.uint8)])
    found = decode_blocks(torch.from_numpy(block), BY_NAME["Q8_0"], torch.float32)
    assert found.tolist() == (0.5 * numbers).tolist()
    nibbles = np.arange(16, dtype=np.uint8)
    block = np.concatenate([np.array([2.0], np.float16).view(np.uint8), nibbles | (15 - nibbles) << 4])
    found = decode_blocks(torch.from_numpy(block), BY_NAME["Q4_0"], torch.float32)
    assert found.tolist() == [2.0 * (n - 8) for n in range(16)] + [2.0 * (7 - n) for n in range(16)]


@pytest.mark.parametrize("name", ["F32", "F16", "BF16"])
def test_plain_numbers_keep_their_dtype(name):
    kind = BY_NAME[name]
    numbers = torch.randn(7).to(kind.dtype)
    assert torch.equal(decode_blocks(numbers.view(torch.uint8), kind), numbers)
    assert decode_blocks(numbers.view(torch.uint8), kind, torch.float32).dtype == torch.float32


def test_many_blocks_are_read_part_by_part_to_the_same_numbers(monkeypatch):
    kind: BlockType = BY_NAME["Q5_K"]
    blocks = draw(kind, 40).flatten()
    at_once = decode_blocks(blocks, kind)
    monkeypatch.setattr(gguf_blocks, "_AT_ONCE", 700)
    assert torch.equal(decode_blocks(blocks, kind), at_once)
