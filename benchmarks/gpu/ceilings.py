"""What the machine can do at most: products, attention, and copies, at sizes of the published model."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from gpu.work import Work
from mova.bench.measure import PRODUCT_SIZES
from mova.weights.quantize.codes import multiply_float8, round_to_float8

TERA, GIGA = 1e12, 1e9
# Rows and columns of the products of a feed-forward layer, heads and channels of the attention, bytes of copies.
SIZES = {
    "full": {"rows": 43_120, "dim": 5120, "ffn": 13_824, "heads": 40, "head": 128, "bytes": 8 * 2**30},
    "small": {"rows": 64, "dim": 64, "ffn": 128, "heads": 2, "head": 32, "bytes": 2**20},
}
KERNELS = {
    "attention as torch chooses": None,
    "attention, FlashAttention of torch": SDPBackend.FLASH_ATTENTION,
    "attention, cuDNN": SDPBackend.CUDNN_ATTENTION,
}


def measure(work: Work) -> dict[str, Any]:
    """Return rates, each the median of some calls after one that does not count; what cannot run says why."""
    sizes = SIZES[work.sizes]
    figures: dict[str, Any] = {}
    side = PRODUCT_SIZES["cuda"] if work.sizes == "full" else 128
    name = "bfloat16 product"
    figures[f"{name}, TFLOP/s"] = product(work, side, side, side)
    figures[f"{name} of a feed-forward layer, TFLOP/s"] = product(work, sizes["rows"], sizes["dim"], sizes["ffn"])
    parts: dict[str, Callable[[], float]] = {
        "float8 product with rounding of its input, TFLOP/s": lambda: float8(work, sizes, rounding=True),
        "float8 product alone, TFLOP/s": lambda: float8(work, sizes, rounding=False),
        "copy on the device, read and written, TB/s": lambda: copy(work, sizes["bytes"]) / 1e12,
    }
    if work.is_gpu:
        parts["host to device, pinned, GB/s"] = lambda: from_host(work, sizes["bytes"] // 4) / GIGA
    for words, kernel in KERNELS.items():
        if work.is_gpu or kernel is None:
            parts[f"{words}, TFLOP/s"] = lambda kernel=kernel: attend(work, sizes, kernel)
    for words, part in parts.items():
        try:
            figures[words] = round(part(), 4)
        except (RuntimeError, NotImplementedError) as problem:
            figures[words] = str(problem).splitlines()[0]
        work.free()
    return figures


def rate(work: Work, operations: float, call: Callable[[], object]) -> float:
    """Return operations (or bytes) per second, the median of ten calls."""
    return operations / median(work.times(call, 10)[1:])


def product(work: Work, rows: int, inner: int, columns: int) -> float:
    """Return TFLOP/s of a matrix product in bfloat16."""
    left = torch.randn(rows, inner, device=work.device, dtype=torch.bfloat16)
    right = torch.randn(columns, inner, device=work.device, dtype=torch.bfloat16)
    return round(rate(work, 2 * rows * inner * columns / TERA, lambda: left @ right.T), 4)


def float8(work: Work, sizes: dict[str, int], *, rounding: bool) -> float:
    """Return TFLOP/s of a layer of float8_linear, or of its product alone."""
    x = torch.randn(sizes["rows"], sizes["dim"], device=work.device, dtype=torch.bfloat16)
    weight, scales = round_to_float8(torch.randn(sizes["ffn"], sizes["dim"], device=work.device))
    operations = 2 * sizes["rows"] * sizes["dim"] * sizes["ffn"] / TERA
    if rounding:
        return rate(work, operations, lambda: multiply_float8(x, weight, scales, None, torch.bfloat16))
    rounded, by = round_to_float8(x)

    def multiply() -> torch.Tensor:
        return torch._scaled_mm(
            rounded, weight.T, by.unsqueeze(1), scales.unsqueeze(0), out_dtype=torch.bfloat16, use_fast_accum=True
        )

    return rate(work, operations, multiply)


def attend(work: Work, sizes: dict[str, int], kernel: SDPBackend | None) -> float:
    """Return TFLOP/s of self-attention over all video tokens."""
    shape = (1, sizes["rows"], sizes["heads"], sizes["head"])
    q, k, v = (torch.randn(shape, device=work.device, dtype=torch.bfloat16).transpose(1, 2) for _ in range(3))
    operations = 4 * sizes["rows"] ** 2 * sizes["heads"] * sizes["head"] / TERA
    if kernel is None:
        return operations / median(work.times(lambda: scaled_dot_product_attention(q, k, v), 4)[1:])
    with sdpa_kernel(kernel):
        return operations / median(work.times(lambda: scaled_dot_product_attention(q, k, v), 4)[1:])


def copy(work: Work, num_bytes: int) -> float:
    """Return bytes per second, read and written, of a copy on the device."""
    source = torch.zeros(num_bytes, dtype=torch.uint8, device=work.device)
    target = torch.empty_like(source)
    return rate(work, 2 * num_bytes, lambda: target.copy_(source))


def from_host(work: Work, num_bytes: int) -> float:
    """Return bytes per second of a copy from pinned host memory."""
    source = torch.zeros(num_bytes, dtype=torch.uint8, pin_memory=True)
    target = torch.empty(num_bytes, dtype=torch.uint8, device=work.device)
    return rate(work, num_bytes, lambda: target.copy_(source, non_blocking=True))
