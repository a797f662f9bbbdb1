"""The rows of the GPU benchmark, most valuable first: what each measures, needs and takes (no torch here)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpu.work import Work

FORWARD_S = 5.5
"""Seconds of a forward at 640x352 and 193 frames on an H200 until one has been measured."""

MODEL = ("diffusers", "transformers", "safetensors")
TESTING = (*MODEL, "pytest", "pytest_timeout", "hypothesis")
TRAINING = (*MODEL, "pydantic", "yaml", "peft", "accelerate")


@dataclass(frozen=True)
class Row:
    """One thing to measure.

    Attributes:
        name: letter of its group and a word.
        words: what it is.
        function: `module:function` in this folder; takes a `Work`, gives figures by name.
        fixed_s: seconds that it takes besides forwards, compilation and the making of weights included.
        forwards: forwards (or as many seconds) at 640x352 and 193 frames that it computes.
        packages: packages that it imports.
        compiles: needs Triton and a C compiler on a GPU.
        target: what is asked for, in words.
        arguments: for the function.
    """

    name: str
    words: str
    function: str
    fixed_s: float
    forwards: float = 0.0
    packages: tuple[str, ...] = MODEL
    compiles: bool = False
    target: str = ""
    arguments: tuple[Any, ...] = ()

    def seconds(self, forward_s: float = FORWARD_S) -> float:
        """Return about how long it takes."""
        return self.fixed_s + self.forwards * forward_s

    def run(self, work: Work) -> dict[str, Any]:
        """Measure it and return its figures."""
        module, _, name = self.function.partition(":")
        figures: dict[str, Any] = getattr(import_module(f"gpu.{module}"), name)(work, *self.arguments)
        return figures


COMPILE_S = 50.0
FASTER = "float8_linear compiled: 1.4 times faster than plain"
ROWS = (
    Row("a.tests", "tests that need a GPU (`pytest -m gpu`)", "children:run_tests", 70, 0, TESTING),
    Row("a.ceilings", "products, attention and copies of this machine", "ceilings:measure", 15, 0, ()),
    Row("b.forward", "forward", "joint:forward", 20, 3.0, target="4.4 s or less"),
    Row("b.profile", "kernels of a forward", "joint:profile", 5, 1.5),
    Row(
        "b.compiled", "forward, compiled blocks", "joint:forward", COMPILE_S, 3.0, compiles=True, arguments=(None, True)
    ),
    Row("b.cudnn", "forward, attention native_cudnn", "joint:attention", 2, 3.0, arguments=("native_cudnn",)),
    Row("b.flash", "forward, attention native_flash", "joint:attention", 2, 3.0, arguments=("native_flash",)),
    Row("b.float8", "forward, float8_linear", "joint:forward", 15, 3.0, arguments=("float8_linear", False)),
    Row(
        "b.float8-compiled",
        "forward, float8_linear, compiled blocks",
        "joint:forward",
        COMPILE_S,
        2.0,
        compiles=True,
        target=FASTER,
        arguments=("float8_linear", True),
    ),
    Row("b.8-bit", "forward, 8-bit attention (sage)", "joint:attention", 2, 3.0, arguments=("sage",)),
    Row("c.stream", "forward, blocks streamed from host memory", "offload:stream", 40, 4.0, target="1.15 at 14 GB"),
    Row("d.lora", "LoRA step", "lora:step", 15, 4.0, TRAINING, arguments=("resident",)),
    Row(
        "d.compiled",
        "LoRA step, compiled blocks",
        "lora:step",
        15 + COMPILE_S,
        3.5,
        TRAINING,
        compiles=True,
        target="1.15 times faster",
        arguments=("resident, compiled",),
    ),
    Row(
        "d.low-vram",
        "LoRA step, recipe lora_low_vram",
        "lora:step",
        25,
        4.0,
        (*TRAINING, "bitsandbytes"),
        arguments=("lora_low_vram",),
    ),
    Row("c.disk", "forward, blocks read from files", "offload:disk", 45, 2.0, target="1.15"),
    Row("e.720p", "forward at 1280x720, 193 frames", "joint:forward_720p", 12, 11.5),
    Row("f.decode", "video and audio of a clip decoded", "decode:measure", 20, 2.0),
    Row("g.cache", "cache of encoded clips filled", "children:fill_cache", 70),
    Row("h.group-offload", "diffusers' group offload of the video tower", "offload:group_offload", 15, 3.0),
    Row("b.branches", "two branches of guidance in one call", "joint:branches", 2, 4.0),
    Row("b.float8-profile", "kernels of a forward, float8", "joint:profile", 5, 1.5, arguments=("float8_linear",)),
    Row("d.full", "LoRA step, all layers", "lora:step", 30, 12.0, TRAINING, arguments=("resident", None)),
    Row(
        "d.full-compiled",
        "LoRA step, all layers, compiled blocks",
        "lora:step",
        30 + COMPILE_S,
        11.0,
        TRAINING,
        compiles=True,
        arguments=("resident, compiled", None),
    ),
)
BY_NAME: Mapping[str, Row] = {row.name: row for row in ROWS}


def choose(names: Iterable[str]) -> list[Row]:
    """Return the rows of some names or letters of groups, in their usual order.

    Raises:
        ValueError: a name of nothing.
    """
    wanted = list(names)
    unknown = [name for name in wanted if name not in BY_NAME and name not in {row.name[0] for row in ROWS}]
    if unknown:
        raise ValueError(f"rows must be letters from a to h or of {', '.join(BY_NAME)}; got {unknown[0]!r}")
    return [row for row in ROWS if row.name in wanted or row.name[0] in wanted]
