"""How a model is computed on a machine: where its weights rest, in how many bits, with which kernels.

None of it is part of a clip's settings: the same clip may be made anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from mova.models.attention_backends import find_backend


@dataclass(frozen=True)
class Runtime:
    """The choices of a user for one machine.

    Attributes:
        memory: where weights rest while others compute, see `mova.generate.memory`.
        quantization: packs the large linear layers while they are loaded, see `mova.models.quantize`; None keeps them.
        attention: back-end of the attention, a name of `mova.models.attention_backends`; None leaves it to torch.
        compile_blocks: compile the repeated blocks before the first step (see `mova.generate.compilation`).

    Raises:
        ConfigError: a name that does not exist.
    """

    memory: str = "auto"
    quantization: str | None = None
    attention: str | None = None
    compile_blocks: bool = False

    def __post_init__(self) -> None:
        if self.attention is not None:
            find_backend(self.attention)
