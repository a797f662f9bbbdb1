"""What a measurement was made on: hardware, system and versions; no part of it is guessed."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from mova.cores import num_cores
from mova.kernels.calibration import processor_name

PACKAGES = ("mova", "torch", "diffusers", "transformers")
_DRIVER = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class Machine:
    """The machine that this process runs on.

    Attributes:
        cpu: name of the processor.
        cpu_capability: vector instructions that torch uses.
        cores: number of cores that this process may use.
        threads: number of threads that torch computes with.
        ram_bytes: memory of the host; None where the system does not tell.
        gpu: name of the graphics card, None without one.
        gpu_bytes: memory of the GPU.
        driver: version of its driver, where the system tells.
        cuda: version that torch was built for.
        system: operating system.
        python: version.
        packages: versions of `PACKAGES`; those that are not installed are left out.
    """

    cpu: str
    cpu_capability: str
    cores: int
    threads: int
    ram_bytes: int | None
    gpu: str | None
    gpu_bytes: int | None
    driver: str | None
    cuda: str | None
    system: str
    python: str
    packages: dict[str, str]


def describe_machine(device: torch.device) -> Machine:
    """Describe the machine; a graphics card only where `device` is one."""
    is_gpu = device.type == "cuda"
    return Machine(
        cpu=processor_name(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        cores=num_cores(),
        threads=torch.get_num_threads(),
        ram_bytes=_ram_bytes(),
        gpu=torch.cuda.get_device_name(device) if is_gpu else None,
        gpu_bytes=torch.cuda.get_device_properties(device).total_memory if is_gpu else None,
        driver=_driver() if is_gpu else None,
        cuda=torch.version.cuda if is_gpu else None,
        system=platform.platform(),
        python=platform.python_version(),
        packages=_versions(),
    )


def _ram_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _driver() -> str | None:
    if not _DRIVER.is_file():
        return None
    found = re.search(r"Kernel Module\D*([\d.]+)", _DRIVER.read_text())
    return found[1] if found else None


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
