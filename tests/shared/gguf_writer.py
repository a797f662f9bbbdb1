"""Writes small GGUF files byte by byte, for tests."""

import struct

import numpy as np
import torch

NUMBERS = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 8, "Q4_K": 12, "BF16": 30}


def encode(tensor, kind):
    """The bytes of a tensor in one of the formats; of Q4_K a block that is all alike."""
    plain = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
    if kind in plain:
        return tensor.to(plain[kind]).contiguous().view(torch.uint8).numpy().tobytes()
    if kind == "Q4_K":
        block = struct.pack("<ee", 0.5, 0.25) + bytes([1] * 4 + [1] * 4 + [0x11] * 4) + bytes([0x53] * 128)
        return block * (tensor.numel() // 256)
    blocks = tensor.float().view(-1, 32).numpy()
    largest = 127 if kind == "Q8_0" else 7
    scales = (np.abs(blocks).max(1, keepdims=True) / largest).astype(np.float16)
    integers = np.rint(blocks / np.maximum(scales.astype(np.float32), 1e-12)).clip(-largest, largest)
    if kind == "Q8_0":
        payload = integers.astype(np.int8).view(np.uint8)
    else:
        nibbles = (integers + 8).astype(np.uint8)
        payload = nibbles[:, :16] | (nibbles[:, 16:] << 4)
    return np.concatenate([scales.view(np.uint8), payload], 1).tobytes()


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def entry(key, value):
    if isinstance(value, str):
        return text(key) + struct.pack("<I", 8) + text(value)
    if isinstance(value, list):
        is_text = bool(value) and isinstance(value[0], str)
        items = b"".join(text(one) for one in value) if is_text else struct.pack(f"<{len(value)}i", *value)
        return text(key) + struct.pack("<IIQ", 9, 8 if is_text else 5, len(value)) + items
    return text(key) + struct.pack("<II", 4, value)


def write_gguf(path, tensors, kinds, metadata=None, shapes=None, alignment=32, version=3):
    """Write tensors by name in the formats of `kinds` (F32 where none is named); `shapes` are those in the header."""
    metadata = {"general.architecture": "wan", **(metadata or {})}
    if alignment != 32:
        metadata["general.alignment"] = alignment
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
    head += b"".join(entry(key, value) for key, value in metadata.items())
    body = b""
    for name, tensor in tensors.items():
        kind = kinds.get(name, "F32")
        shape = (shapes or {}).get(name, tuple(tensor.shape))
        sizes = struct.pack(f"<{len(shape)}Q", *reversed(shape))
        head += text(name) + struct.pack("<I", len(shape)) + sizes + struct.pack("<IQ", NUMBERS[kind], len(body))
        body += encode(tensor, kind)
        body += bytes(-len(body) % alignment)
    path.write_bytes(head + bytes(-len(head) % alignment) + body)
    return path
