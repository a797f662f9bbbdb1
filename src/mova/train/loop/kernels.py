"""What computes the linear layers of a run where no gradient is wanted on a CPU: chosen once, kept in every state.

Validation, teachers and the metrics compute without gradients, so their bits follow from the choice; steps with
gradients go by PyTorch's own products always.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import torch
from torch import nn

from mova.distributed.mesh import Parallel
from mova.files.json_file import Fields
from mova.kernels.calibration import choose_linears, machine_name
from mova.kernels.cpu_linear import use_onednn_linears
from mova.kernels.linear_choice import AUTO, PLAIN, LinearChoice, default_kernels

logger = logging.getLogger(__name__)

KEY = "kernels"
"""Where a state has it. States of earlier releases have none: they were made with PyTorch's own products."""


class RunKernels:
    """The choice of one run.

    Args:
        name: auto or plain; None is what the environment says, else auto.
        modules: that train.
        device: that they are on.
        parallel: this process among the others; rank 0's choice counts for all.
    """

    def __init__(
        self, name: str | None, modules: Iterable[nn.Module], device: torch.device, parallel: Parallel
    ) -> None:
        self._modules, self._parallel = list(modules), parallel
        self._is_auto = device.type == "cpu" and (name or default_kernels()) == AUTO
        self._choice: LinearChoice | None = None

    def begin(self) -> None:
        """Choose, for a run that begins; what is known of this machine is not measured again."""
        if self._is_auto:
            self._use(self._parallel.broadcast(lambda: choose_linears(self._modules)))

    def resume(self, run: str, values: Fields) -> None:
        """Take the choice that a state was made with, on whatever machine.

        Args:
            run: name of what resumes, for the log.
            values: of the state.

        Raises:
            CheckpointError: the state holds something else.
        """
        found = values.values.get(KEY, PLAIN)
        if found == PLAIN:
            return
        choice = LinearChoice.read(values.fields(KEY))
        here = machine_name()
        if choice.machine != here and self._parallel.is_main:
            logger.warning("%s was computed on %s and resumes on %s: bits may differ", run, choice.machine, here)
        self._use(choice)

    def record(self) -> str | dict[str, object]:
        """Return what a state keeps, as JSON values."""
        return PLAIN if self._choice is None else self._choice.to_record()

    def _use(self, choice: LinearChoice) -> None:
        self._choice = choice
        use_onednn_linears(self._modules, choice)
