"""How many clips go into one call: as many as there is room for beside the model."""

import pytest

from mova.geometry import ClipGeometry
from mova.plan.batch import MOST_CLIPS, most_clips
from mova.plan.memory import Room, decoding_bytes, denoising_bytes, frames_bytes
from mova.weights.dims import dims_from_directory
from mova.weights.locate import find_model

GB = 10**9


@pytest.fixture(scope="module")
def model():
    return dims_from_directory(find_model("mova-tiny"))


@pytest.fixture(scope="module")
def geometry(model):
    return ClipGeometry(128, 128, 49, 24.0, model.codec)


def clips(model, geometry, device_bytes, host_bytes=100 * GB, **options) -> int:
    room = Room(int(device_bytes), int(host_bytes), is_gpu=True)
    return most_clips(model, geometry, room, element_bytes=2, **options)


def test_room_decides_and_one_clip_is_always_allowed(model, geometry):
    assert clips(model, geometry, 100 * GB) == MOST_CLIPS
    assert clips(model, geometry, 0) == 1
    assert clips(model, geometry, 100 * GB, host_bytes=0) == 1
    found = [clips(model, geometry, share * GB / 20) for share in range(40)]
    assert found == sorted(found)
    assert len(set(found)) > 2


def test_clips_that_are_computed_together_need_more(model, geometry):
    forward = denoising_bytes(model, geometry, 2)
    frames = decoding_bytes(model, geometry, is_gpu=True) + 32 * frames_bytes(geometry)
    device = max(frames, 4 * forward) / 0.9
    together = clips(model, geometry, device, together=True)
    assert together <= clips(model, geometry, device)
    large = ClipGeometry(1280, 720, 193, 24.0, model.codec)
    assert clips(model, large, 4 * GB) == 1
