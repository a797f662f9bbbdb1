"""Bytes of a state: what is written is read again, and nothing that is damaged."""

import random

import pytest
import torch
from safetensors.torch import load, save

from mova.diffusion.loop_state import LoopState, PartState
from mova.errors import StateError
from mova.pipeline.loop.state_file import read_state, write_state
from mova.types import LatentPair


@pytest.fixture(scope="module")
def state():
    video, audio = torch.randn(2, 3, 2, 4, 4), torch.randn(2, 5, 7)
    parts = {
        "solver": PartState({"video": {"begin": 0, "moved": 0.1 + 0.2}}, {"video.last": video, "video.clean.0": audio}),
        "guidance.0": PartState({"ended_for": None}),
    }
    return LoopState(3, 8, LatentPair(video, audio), parts)


@pytest.fixture(scope="module")
def stored(state):
    return write_state(state, {"prompt": "abc"})


def test_a_state_comes_back_as_it_was(state, stored):
    read, identity = read_state(stored)
    assert identity == {"prompt": "abc"}
    assert (read.done, read.total) == (3, 8)
    assert torch.equal(read.latents.video, state.latents.video)
    assert torch.equal(read.latents.audio, state.latents.audio)
    assert {name: part.numbers for name, part in read.parts.items()} == {
        name: part.numbers for name, part in state.parts.items()
    }
    assert torch.equal(read.parts["solver"].tensors["video.last"], state.latents.video)


def test_bytes_are_a_plain_safetensors_file(stored):
    assert "latents/video" in load(stored)


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 9, 100, -1])
def test_a_cut_state_is_refused(stored, kept):
    with pytest.raises(StateError, match="state of a run"):
        read_state(stored[:kept])


def test_bytes_that_were_changed_anywhere_are_refused(stored):
    draw = random.Random(0)
    places = [*range(0, 600, 7), *(draw.randrange(len(stored)) for _ in range(100))]
    for place in places:
        changed = bytearray(stored)
        changed[place] ^= 1 << draw.randrange(8)
        with pytest.raises(StateError):
            read_state(bytes(changed))


@pytest.mark.parametrize(
    "data",
    [
        b"no state at all, but long enough",
        save({"a": torch.zeros(1)}),
        save({"a": torch.zeros(1)}, {"mova_state": '{"about": "{}", "sha256": "0"}'}),
        (2**40).to_bytes(8, "little") + bytes(100),
        len(b'{"__metadata__":3}').to_bytes(8, "little") + b'{"__metadata__":3}',
    ],
    ids=["text", "no metadata", "wrong checksum", "huge header", "metadata of another kind"],
)
def test_what_is_no_state_is_refused(data):
    with pytest.raises(StateError, match="state of a run"):
        read_state(data)


def test_a_state_of_a_later_format_and_one_with_bad_numbers_are_refused(state, monkeypatch):
    from mova.pipeline.loop import state_file

    bad = LoopState(3, 8, LatentPair(state.latents.video * float("nan"), state.latents.audio), {})
    with pytest.raises(StateError, match="finite"):
        read_state(write_state(bad, {}))
    monkeypatch.setattr(state_file, "_FORMAT", 9)
    later = write_state(state, {})
    monkeypatch.undo()
    with pytest.raises(StateError, match="format 1, got 9"):
        read_state(later)


def test_the_same_state_gives_the_same_bytes(state, stored):
    assert all(write_state(state, {"prompt": "abc"}) == stored for _ in range(5))
