"""Bytes that a joint forward reads and writes on a GPU, operation by operation, counted without a GPU.

    .venv/bin/python benchmarks/probe_bytes_moved.py                        # 360p: 352x640, 193 frames
    .venv/bin/python benchmarks/probe_bytes_moved.py --height 720 --width 1280
    .venv/bin/python benchmarks/probe_bytes_moved.py --time                 # on a GPU: two of them, beside other forms

The real modules of a published model run once on meta tensors, in bfloat16 and without gradients, one sample. They take
the way of a GPU there, and two operations are counted as its kernels: attention, and the root-mean-square norm.
Each operation counts its inputs and outputs once, a broadcast value as often as it is stored, views nothing. It is what
plain calls move where no cache of the GPU helps; compiled blocks move less.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mova.geometry import ClipGeometry
from mova.kernels.text_cache import TextCache
from mova.models import presets
from mova.models.attention import AttentionDispatch, AttentionKernel
from mova.models.bridge import CrossModalBridge
from mova.models.dual_tower import DualTower
from mova.models.modulation import add_gated
from mova.models.rope import RotaryTable, audio_rotary, rotate_halves
from mova.models.tower import AudioTower, VideoTower

_FREE = ("_unsafe_view", "detach", "empty", "lift_fresh")


class BytesMoved(TorchDispatchMode):
    """Counts bytes and calls by the name of the operation.

    Attributes:
        moved: bytes of all inputs and outputs.
        calls: number of calls.
    """

    def __init__(self) -> None:
        super().__init__()
        self.moved: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call the operation and count it."""
        result = func(*args, **(kwargs or {}))
        name = str(func).removeprefix("aten.")
        if not func.is_view and not name.startswith(_FREE):
            named = dict(kwargs or {})
            # It is written, and among the results.
            named.pop("out", None)
            self.moved[name] += sum(map(_stored_bytes, tree_leaves((args, named, result))))
            self.calls[name] += 1
        return result


class _NormKernel(TorchFunctionMode):
    """Takes the norm for one kernel, as on a GPU; on meta tensors it is written out."""

    def __init__(self, counted: BytesMoved) -> None:
        super().__init__()
        self.counted = counted

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call the function, or count the norm and give its shape."""
        if func is not functional.rms_norm:
            return func(*args, **(kwargs or {}))
        result = args[0].view_as(args[0])
        self.counted.moved["rms_norm"] += sum(map(_stored_bytes, tree_leaves((args, kwargs, result))))
        self.counted.calls["rms_norm"] += 1
        return result


def _stored_bytes(value: object) -> int:
    if not isinstance(value, torch.Tensor):
        return 0
    count = value.element_size()
    for size, stride in zip(value.shape, value.stride(), strict=True):
        count *= 1 if stride == 0 else size
    return count


def _fused(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Stand for a fused kernel, which reads queries, keys and values once and writes what it makes of them."""
    heads_first = (x.transpose(1, 2) for x in (q, k, v))
    attended: torch.Tensor = torch.ops.aten._scaled_dot_product_flash_attention(*heads_first)[0]
    return attended.transpose(1, 2)


def count_forward(geometry: ClipGeometry, configs: dict[str, dict[str, Any]], num_prompt: int = 512) -> BytesMoved:
    """Run the joint forward of a model on tensors without memory; return what it moved.

    The text has been read before, as in every step but the first.
    """
    kernels = AttentionDispatch.kernels
    AttentionDispatch.kernels = [AttentionKernel(lambda *_: True, _fused)]
    try:
        with torch.device("meta"), torch.no_grad():
            parts = (VideoTower(**configs["video_dit"]), AudioTower(**configs["audio_dit"]))
            bridge = CrossModalBridge(**configs["dual_tower_bridge"])
            for part in (*parts, bridge):
                kept = tuple(part._keep_in_fp32_modules)
                for key, parameter in part.named_parameters():
                    if not any(name in key.split(".") for name in kept):
                        parameter.data = parameter.data.bfloat16()
            model = DualTower(*parts, bridge)
            inputs = (
                torch.empty(1, configs["video_dit"]["in_dim"], *geometry.video_latent_shape[1:]),
                torch.empty(1, configs["audio_dit"]["in_dim"], geometry.num_audio_latents),
                torch.empty(1),
                torch.empty(1),
            )
            text = TextCache(torch.empty(1, num_prompt, configs["video_dit"]["text_dim"]))

            def call() -> None:
                with text.applied(*parts) as prompt_embeds:
                    model(*inputs, prompt_embeds, frame_rate=geometry.frame_rate)

            call()
            with BytesMoved() as counted, _NormKernel(counted):
                call()
            return counted
    finally:
        AttentionDispatch.kernels = kernels


def gated_in_copies(x: torch.Tensor, update: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
    """Add as `add_gated` does, with copies in float32."""
    return torch.addcmul(x.float(), update.float(), gate).to(x.dtype)


def halves_joined(x: torch.Tensor, table: RotaryTable, dtype: torch.dtype) -> torch.Tensor:
    """Turn as `rotate_halves` does, with halves put together afterwards."""
    (first, second), (cos, sin) = x.chunk(2, dim=-1), table
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1).to(dtype)


@torch.no_grad()
def time_forms(num_tokens: int, device: torch.device, repeat: int = 20) -> list[tuple[str, float, bool]]:
    """Time two operations of the video tower and the bridge, each in two forms of the same bits.

    Returns:
        Name, milliseconds, and whether the bits are those of the form before.
    """
    x, update = torch.randn(2, 1, num_tokens, 5120, device=device).bfloat16()
    gate, heads = torch.randn(1, 1, 5120, device=device), torch.randn(1, num_tokens, 40, 128, device=device)
    table = audio_rotary(num_tokens, 128, device)
    forms: list[tuple[str, Callable[[], torch.Tensor]]] = [
        ("gated sum, float32 copies", lambda: gated_in_copies(x, update, gate)),
        ("gated sum, as it is", lambda: add_gated(x, update, gate)),
        ("rotated halves, joined afterwards", lambda: halves_joined(heads, table, torch.bfloat16)),
        ("rotated halves, as they are", lambda: rotate_halves(heads, table, torch.bfloat16)),
    ]
    rows, before = [], None
    for index, (name, form) in enumerate(forms):
        made = form()
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for _ in range(repeat):
            form()
        end.record()
        end.synchronize()
        rows.append((name, start.elapsed_time(end) / repeat, index % 2 == 0 or torch.equal(made, before)))
        before = made
    return rows


def main(arguments: Sequence[str] | None = None, write: Callable[[str], object] = print) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--height", type=int, default=352)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--frames", type=int, default=193)
    parser.add_argument("--time", action="store_true", help="time forms of two operations on the GPU instead")
    given = parser.parse_args(arguments)
    geometry = ClipGeometry(given.height, given.width, given.frames)
    if given.time:
        for name, duration, same in time_forms(geometry.num_video_tokens, torch.device("cuda")):
            write(f"{name}: {duration:.2f} ms{'' if same else ', other bits'}")
        return
    counted = count_forward(geometry, presets.mova_360p())
    total = sum(counted.moved.values()) / 1e9
    write(f"{geometry.num_video_tokens:,} video tokens, torch {torch.__version__}: {total:,.0f} GB")
    write("")
    write("| operation | calls | GB |")
    write("| --- | --- | --- |")
    for name, size in counted.moved.most_common():
        if size > 1e9:
            write(f"| {name} | {counted.calls[name]:,} | {size / 1e9:,.1f} |")


if __name__ == "__main__":
    main()
