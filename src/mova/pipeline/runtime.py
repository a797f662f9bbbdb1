"""How a model is computed on a machine: where its weights are offloaded to, in how many bits, with which kernels.

None of it is part of a clip's settings: the same clip may be made anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mova.checks import check_precision
from mova.kernels.attention_backends import find_backend
from mova.kernels.linear_choice import LinearChoice, check_kernels_name, default_kernels
from mova.plan.memory import check_memory
from mova.weights.quantize.layout import check_method


@dataclass(frozen=True)
class Runtime:
    """The choices of a user for one machine.

    Attributes:
        memory: where weights are offloaded to while others compute, see `mova.plan.memory`.
        quantization: how the large linear layers are quantised while they are loaded, one of the methods in
            `mova.weights.quantize.layout`; None leaves them as they are stored.
        attention: back-end of the attention, a name of `mova.kernels.attention_backends`; None leaves it to torch.
        compile_blocks: compile the repeated blocks before the first step (see `mova.kernels.compile`); None: on CUDA
            where `token_forwards` pay for it (`mova.kernels.compile_rule`) and it is possible.
        kernels: products of linear layers on a CPU: auto takes what a short measurement found to be fastest there,
            plain goes by a fixed rule. By default what MOVA_KERNELS says, else auto.
        linears: a choice of those products to repeat with auto, such as that of a clip that is made again.
        token_forwards: video tokens x forwards that are to come, as far as they are known.
        precision: what is computed in, one of `mova.checks.PRECISIONS`, see `mova.pipeline.precision`; None is bfloat16
            on a GPU and float32 on any CPU.

    Raises:
        ConfigError: a placement, a method, a back-end, a choice of kernels or a precision that there is not.
    """

    memory: str = "auto"
    quantization: str | None = None
    attention: str | None = None
    compile_blocks: bool | None = None
    kernels: str = field(default_factory=default_kernels)
    linears: LinearChoice | None = None
    token_forwards: int = 0
    precision: str | None = None

    def __post_init__(self) -> None:
        check_memory(self.memory)
        if self.quantization is not None:
            check_method(self.quantization)
        if self.attention is not None:
            find_backend(self.attention)
        check_kernels_name(self.kernels)
        if self.precision is not None:
            check_precision(self.precision)
