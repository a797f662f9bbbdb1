"""What a user asks of several processes."""

import pytest
import torch

from mova.device import own_device
from mova.distributed.layout import Layout
from mova.errors import ConfigError
from mova.generate.processes import Processes, divisible, num_branches, read_processes
from mova.generate.request import GenerateRequest
from mova.settings.sampling import SamplingSettings


def test_one_process_is_alone():
    assert read_processes(None, None, False) is None
    assert read_processes(1, None, False) is None
    assert read_processes(None, None, False, started=1) is None


def test_processes_are_those_asked_for_or_those_of_torchrun():
    assert read_processes(4, "branches=2,ring=2", True) == Processes(4, Layout(branches=2, ring=2), True)
    assert read_processes(None, None, False, started=3) == Processes(3, launched=True)
    with pytest.raises(ConfigError, match="that torchrun started, 2; got 3"):
        read_processes(3, None, False, started=2)


def test_each_process_has_a_gpu_of_its_own(monkeypatch):
    chosen = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    assert own_device(1, 2) == torch.device("cuda", 1)
    assert chosen == [1]
    with pytest.raises(ConfigError, match="at most those of this machine, 2; got 3; nearest is 2"):
        own_device(0, 3)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a machine without a GPU is meant")
def test_without_gpus_all_share_the_cpu():
    assert own_device(5, 6) == torch.device("cpu")


def test_what_can_be_shared_follows_from_the_configurations(checkpoint):
    settings = SamplingSettings(height=32, width=48, num_frames=9, guidance_scale=3.0)
    work = divisible(GenerateRequest(prompt="a dog", settings=settings), checkpoint)
    assert work.heads == {"video_dit": 3, "audio_dit": 2}
    assert work.tokens == {"video": 3 * 2 * 3, "audio": settings.geometry.num_audio_latents}
    assert (work.num_branches, work.shares_tokens) == (2, True)


@pytest.mark.parametrize(
    ("scales", "held", "expected"),
    [
        ({"guidance_scale": 1.0}, {}, 1),
        ({"guidance_scale": 5.0}, {}, 2),
        ({"guidance_scale": 5.0, "modality_scale": 2.0}, {}, 3),
        ({"guidance_scale": 5.0, "modality_scale": 5.0}, {}, 2),
        ({"guidance_scale": 5.0, "guidance_interval": (0.1, 0.4)}, {}, 2),
        ({"guidance_scale": 5.0, "audio_guidance_scale": 1.0}, {"hold_video": True}, 1),
    ],
)
def test_branches_are_those_of_a_guided_step(scales, held, expected):
    assert num_branches(SamplingSettings(**scales), **held) == expected


@pytest.mark.parametrize("number", [65, 10**6, 10**30])
def test_no_more_processes_are_started_than_a_machine_can_have_gpus(number):
    with pytest.raises(ConfigError, match=r"gpus must be at most 64 processes of one machine, got .*; nearest is 64"):
        read_processes(number, None, False)


def test_processes_of_many_machines_are_started_by_torchrun():
    assert read_processes(None, None, False, started=128) == Processes(128, launched=True)
