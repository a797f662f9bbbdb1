import os
import platform
from importlib.metadata import version

import torch

from mova.bench import machine
from mova.bench.machine import describe_machine
from mova.cores import num_cores
from mova.kernels import calibration

CPU = torch.device("cpu")


def test_the_machine_is_this_one():
    found = describe_machine(CPU)
    assert found.cores == num_cores() <= os.cpu_count()
    assert found.threads == torch.get_num_threads()
    assert found.ram_bytes > 2**27
    assert found.cpu.strip()
    assert (found.gpu, found.gpu_bytes, found.driver, found.cuda) == (None, None, None, None)
    assert found.python == platform.python_version()
    assert found.packages["torch"] == version("torch")


def test_what_a_system_does_not_tell_is_not_guessed(monkeypatch, tmp_path):
    monkeypatch.setattr(calibration, "_CPU_INFO", tmp_path / "absent")
    monkeypatch.setattr(machine, "_DRIVER", tmp_path / "absent")
    assert describe_machine(CPU).cpu == (platform.processor() or platform.machine())


def test_driver_and_processor_are_read_from_the_system(monkeypatch, tmp_path):
    (tmp_path / "version").write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19\nGCC 12\n"
    )
    monkeypatch.setattr(machine, "_DRIVER", tmp_path / "version")
    assert machine._driver() == "535.104.05"
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name\t: A quick one @ 3 GHz\nmodel name\t: another\n")
    monkeypatch.setattr(calibration, "_CPU_INFO", tmp_path / "cpuinfo")
    assert describe_machine(CPU).cpu == "A quick one @ 3 GHz"
