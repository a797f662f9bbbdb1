"""Latents that are not finite: found at once on a CPU, as soon as it is known on a device that is not waited for."""

import pytest
import torch

from mova.diffusion.finite import FiniteCheck
from mova.errors import NumericalError
from mova.types import LatentPair

FINE = LatentPair(video=torch.zeros(1, 2, 3, 4, 4), audio=torch.zeros(1, 4, 5))


def spoilt(name: str, value: float = float("nan")) -> LatentPair:
    tensors = {"video": FINE.video.clone(), "audio": FINE.audio.clone()}
    tensors[name].view(-1)[-1] = value
    return LatentPair(**tensors)


class Late:
    """Flags that arrive when the test says so; reading waits for them."""

    def __init__(self, flags: torch.Tensor) -> None:
        self.flags, self.here, self.waited = flags.tolist(), False, False

    def has_arrived(self) -> bool:
        return self.here

    def read(self) -> list[bool]:
        self.waited = self.waited or not self.here
        return self.flags


@pytest.fixture
def late():
    """A check whose flags are late, and the flags that it sent."""
    sent: list[Late] = []

    def send(flags: torch.Tensor) -> Late:
        sent.append(Late(flags))
        return sent[-1]

    return FiniteCheck(send), sent


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["video", "audio"])
def test_on_a_cpu_every_step_is_looked_at_when_it_is_done(name, value):
    check = FiniteCheck()
    check.note(FINE, "after step 1")
    with pytest.raises(NumericalError, match=f"infinity in {name} after step 2"):
        check.note(spoilt(name, value), "after step 2")


def test_flags_that_have_not_arrived_are_not_waited_for(late):
    check, sent = late
    check.note(FINE, "after step 1")
    check.note(spoilt("audio"), "after step 2")
    check.note(spoilt("video"), "after step 3")
    assert not any(flags.waited for flags in sent)
    sent[0].here = sent[1].here = True
    with pytest.raises(NumericalError, match="infinity in audio after step 2"):
        check.note(spoilt("video"), "after step 4")
    assert not any(flags.waited for flags in sent)


def test_the_end_waits_for_what_is_still_on_its_way_and_names_the_first_bad_step(late):
    check, sent = late
    check.note(FINE, "after step 1")
    both = LatentPair(spoilt("video").video, spoilt("audio").audio)
    check.note(both, "after step 2")
    check.note(both, "after step 3")
    with pytest.raises(NumericalError, match="infinity in video and audio after step 2"):
        check.finish()
    assert sent[1].waited


def test_a_good_run_ends_in_silence(late):
    check, sent = late
    check.note(FINE, "after step 1")
    check.finish()
    assert sent[0].waited


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_is_not_waited_for_before_the_end():
    pair = LatentPair(FINE.video.cuda(), spoilt("audio").audio.cuda())
    check = FiniteCheck()
    # The first call loads kernels, and that may wait for the device.
    check.note(LatentPair(FINE.video.cuda(), FINE.audio.cuda()), "before")
    torch.cuda.synchronize()
    torch.cuda._sleep(200_000_000)
    with torch.cuda.device(0):
        torch.cuda.set_sync_debug_mode("error")
        try:
            check.note(pair, "after step 1")
        finally:
            torch.cuda.set_sync_debug_mode("default")
    with pytest.raises(NumericalError, match="infinity in audio after step 1"):
        check.finish()
