"""Which product is fastest for the linear layers of a model on this machine, found by a short measurement.

Only products without gradients in float32 on a CPU are concerned. The products take turns, the best time of each
counts, and the plain one stays unless another is clearly faster: a tie must not change the bits of a clip.
"""

from __future__ import annotations

import math
import platform
import re
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import torch
from torch import nn
from torch.nn import functional

from mova.kernels.cpu_linear import layers_of, onednn_product, plain_uses_onednn
from mova.kernels.linear_choice import FEW_ROWS, ONEDNN, TORCH, ChoiceFile, LinearChoice, ShapeClass

Product = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, str | None], torch.Tensor]

MARGIN: Final = 0.03
"""Another product than the plain one must save this share of the time."""
_ROUNDS: Final = 3
# Rows at which a class is measured, and what a product of it may take at most.
_ROWS: Final = {"few": 2 * FEW_ROWS, "many": 512}
_MOST_OPERATIONS: Final = 10**9
# One call of a small product is too short for a clock.
_LEAST_OPERATIONS: Final = 10**7
_CPU_INFO: Final = Path("/proc/cpuinfo")


def shape_classes(modules: Iterable[nn.Module]) -> list[ShapeClass]:
    """Return the classes of all linear layers in some modules, each once, in a fixed order."""
    return sorted(
        {
            ShapeClass.of(layer.in_features, layer.out_features, has_gelu=has_gelu, rows=rows)
            for layer, has_gelu in layers_of(modules)
            for rows in _ROWS
        }
    )


def machine_name() -> str:
    """Return what a measurement holds for: processor, instruction set, version of torch, threads."""
    threads = torch.get_num_threads()
    return (
        f"{processor_name(with_model=True)}, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}, "
        f"{threads} thread{'' if threads == 1 else 's'}"
    )


def processor_name(*, with_model: bool = False) -> str:
    """Return the name of the processor as the system gives it.

    Args:
        with_model: add family, model and stepping: virtual machines give one name to several processors.
    """
    try:
        text = _CPU_INFO.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    except OSError:
        text = ""
    # Of a key that is there several times the first counts.
    fields = dict(reversed(re.findall(r"^([\w ]+?)\s*:\s*(.+?)\s*$", text, re.MULTILINE)))
    name = fields.get("model name") or platform.processor() or platform.machine()
    numbers = [fields[key] for key in ("cpu family", "model", "stepping") if key in fields]
    return f"{name} ({'/'.join(numbers)})" if with_model and numbers else name


def choose_linears(
    modules: Iterable[nn.Module],
    before: LinearChoice | None = None,
    *,
    file: ChoiceFile | None = None,
    measure: Callable[[Iterable[ShapeClass]], Mapping[ShapeClass, str]] | None = None,
) -> LinearChoice:
    """Choose a product for every linear layer of some modules: what is known of this machine is not measured again.

    Args:
        modules: with the layers.
        before: a choice to repeat, such as that of a clip; one of another machine says nothing here.
        file: where choices are kept; by default the user's.
        measure: finds the fastest product of each class; by default `fastest_products`.

    Returns:
        The choice for exactly these layers.
    """
    file, measure = file or ChoiceFile(), measure or fastest_products
    machine, classes = machine_name(), shape_classes(modules)
    known = file.read(machine)
    if before is not None and before.machine == machine:
        known |= before.products
    missing = [one for one in classes if str(one) not in known]
    if missing:
        known |= file.add(machine, {str(one): product for one, product in measure(missing).items()})
    return LinearChoice(machine, {str(one): known[str(one)] for one in classes})


@torch.no_grad()
def fastest_products(
    classes: Iterable[ShapeClass],
    products: Mapping[str, Product] | None = None,
    clock: Callable[[], float] | None = None,
) -> dict[ShapeClass, str]:
    """Measure which product is the fastest of each class.

    Args:
        classes: of shapes.
        products: to choose from, by name; the plain one must be there. By default all that this torch has.
        clock: in seconds. By default processor time of one thread, on which other processes have little influence;
            with several threads, which wait for each other, the time that passes.

    Returns:
        The name of a product for each class.
    """
    products = _products() if products is None else products
    clock = clock or (time.thread_time if torch.get_num_threads() == 1 else time.perf_counter)
    plain = ONEDNN if plain_uses_onednn() else TORCH
    found: dict[ShapeClass, str] = {}
    for one in classes:
        times = _best_times(one, products, clock)
        best = min(times, key=lambda name: times[name])
        found[one] = best if times[best] < (1 - MARGIN) * times[plain] else plain
    return found


def _best_times(one: ShapeClass, products: Mapping[str, Product], clock: Callable[[], float]) -> dict[str, float]:
    operations = 2 * one.width * one.out
    rows = max(FEW_ROWS, min(_ROWS[one.rows], _MOST_OPERATIONS // operations))
    repeats = math.ceil(_LEAST_OPERATIONS / (operations * rows))
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (
        torch.randn(*shape, generator=generator, device="cpu", dtype=torch.float32)
        for shape in ((1, rows, one.width), (one.out, one.width), (one.out,))
    )
    gelu = "tanh" if one.has_gelu else None
    best = dict.fromkeys(products, math.inf)
    for counts in (False, *(True,) * _ROUNDS):
        for name, product in products.items():
            started = clock()
            for _ in range(repeats if counts else 1):
                product(x, weight, bias, gelu)
            if counts:
                best[name] = min(best[name], clock() - started)
    return best


def _products() -> dict[str, Product]:
    found: dict[str, Product] = {TORCH: _torch_product}
    if torch.backends.mkldnn.is_available():
        found[ONEDNN] = onednn_product
    return found


def _torch_product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, gelu: str | None) -> torch.Tensor:
    product = functional.linear(x, weight, bias)
    return product if gelu is None else functional.gelu(product, approximate=gelu)
