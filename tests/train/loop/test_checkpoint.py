"""States on disk: complete or not there."""

import json
import resource
import subprocess
import sys

import pytest
import torch

from mova.errors import CheckpointError
from mova.train.loop.checkpoint import StoredState, list_states, newest_state, save_state


def tensors_of(step):
    return {"weight": torch.full((3, 2), float(step)), "count": torch.tensor(float(step))}


def save(folder, step, keep=2):
    return save_state(folder, step, tensors_of(step), {"trained_s": step / 2}, keep=keep)


def read(state):
    tensors = {name: torch.zeros_like(tensor) for name, tensor in tensors_of(0).items()}
    state.read_into(tensors)
    return tensors


def test_the_newest_state_comes_back_as_it_was(tmp_path):
    save(tmp_path, 7)
    save(tmp_path, 12)
    state = newest_state(tmp_path)
    assert (state.step, state.values) == (12, {"trained_s": 6.0})
    assert state.tensors == {"weight": ((3, 2), torch.float32), "count": ((), torch.float32)}
    for name, tensor in read(state).items():
        assert torch.equal(tensor, tensors_of(12)[name])


def test_every_bit_of_every_type_comes_back(tmp_path):
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(-(2**15), 2**15, (50,), generator=generator, dtype=torch.int16)
    stored = {
        "bf16": values.view(torch.bfloat16),
        "bytes": values.view(torch.uint8),
        "f64": torch.rand(7, generator=generator, dtype=torch.float64),
    }
    save_state(tmp_path, 1, stored, {}, keep=1)
    back = {name: torch.empty_like(tensor) for name, tensor in stored.items()}
    newest_state(tmp_path).read_into(back)
    for name, tensor in stored.items():
        assert torch.equal(back[name].view(torch.uint8), tensor.view(torch.uint8))


def test_a_folder_without_states_gives_none(tmp_path):
    assert newest_state(tmp_path) is None
    assert newest_state(tmp_path / "absent") is None


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_only_the_newest_few_stay(tmp_path, keep):
    for step in (5, 100, 300, 1000):
        save(tmp_path, step, keep)
    expected = [f"step_{step:08d}" for step in (5, 100, 300, 1000)[-keep:]]
    assert sorted(path.name for path in tmp_path.iterdir()) == expected
    assert [path.name for path in list_states(tmp_path)] == expected


def test_the_order_is_that_of_the_steps_also_beyond_eight_digits(tmp_path):
    for step in (99_999_999, 100_000_000):
        save(tmp_path, step)
    assert newest_state(tmp_path).step == 100_000_000


def test_what_a_crash_left_is_ignored_and_removed_by_the_next_save(tmp_path):
    save(tmp_path, 3)
    for leftover in ("step_00000009.partial", "step_00000002.partial"):
        (tmp_path / leftover).mkdir()
        (tmp_path / leftover / "__0_0.distcp").write_bytes(b"half")
    (tmp_path / "step_00000008").mkdir()
    assert newest_state(tmp_path).step == 3
    save(tmp_path, 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_00000003", "step_00000004"]


def test_a_step_that_is_there_is_not_written_again(tmp_path):
    first = save(tmp_path, 3)
    before = {file.name: file.stat().st_mtime_ns for file in first.iterdir()}
    save_state(tmp_path, 3, tensors_of(99), {}, keep=2)
    assert {file.name: file.stat().st_mtime_ns for file in first.iterdir()} == before


@pytest.mark.parametrize("damage", ["cut", "emptied", "changed", "missing", "no metadata"])
def test_a_damaged_state_is_an_error_that_says_what_to_do(tmp_path, damage):
    save(tmp_path, 3)
    path = save(tmp_path, 4)
    file = next(path.glob("*.distcp"))
    content = file.read_bytes()
    match damage:
        case "cut":
            file.write_bytes(content[: len(content) // 2])
        case "emptied":
            file.write_bytes(b"")
        case "changed":
            file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        case "missing":
            file.unlink()
        case _:
            (path / ".metadata").unlink()
    with pytest.raises(CheckpointError, match=r"step_00000004 cannot be read .*; remove it to fall back to step_0*3"):
        newest_state(tmp_path)


def test_a_damaged_only_state_can_only_be_begun_anew(tmp_path):
    path = save(tmp_path, 4)
    (path / "state.json").write_text("{}")
    with pytest.raises(CheckpointError, match="remove it to begin anew"):
        newest_state(tmp_path)


def test_names_and_shapes_are_compared(tmp_path):
    state = StoredState(save(tmp_path, 4))
    with pytest.raises(CheckpointError, match=r"must hold other of \[2\], it holds nothing of that name"):
        state.read_into({"other": torch.zeros(2)})
    with pytest.raises(CheckpointError, match=r"must hold weight of \[2, 3\], it holds one of \[3, 2\]"):
        state.read_into({"weight": torch.zeros(2, 3)})


def test_states_of_the_former_format_are_named(tmp_path):
    (tmp_path / "step_00000004").mkdir()
    (tmp_path / "step_00000004" / "state.pt").write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"step_00000004 is a state of a former format"):
        newest_state(tmp_path)


FILL = """
import pathlib, resource, signal, sys, torch
from mova.errors import CheckpointError
from mova.train.loop.checkpoint import newest_state, save_state
folder = pathlib.Path(sys.argv[1])
save_state(folder, 1, {"weight": torch.ones(1000)}, {}, keep=2)
# No file may grow beyond this, as on a disk that is full: writing fails in the middle.
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    save_state(folder, 2, {"weight": torch.ones(1_000_000)}, {}, keep=1)
except CheckpointError as error:
    print(error)
print(newest_state(folder).step, sorted(path.name for path in folder.iterdir()))
"""


def test_a_disk_that_fills_up_leaves_the_earlier_state(tmp_path):
    assert resource.RLIMIT_FSIZE
    done = subprocess.run([sys.executable, "-B", "-c", FILL, str(tmp_path)], capture_output=True, text=True, check=True)
    first, second = done.stdout.strip().splitlines()
    assert "step_00000002 could not be written" in first
    assert "it needs 4.0 MB" in first
    assert first.endswith("earlier states are intact")
    assert second == "1 ['step_00000001']"


def test_too_little_room_is_found_before_anything_is_written(tmp_path, monkeypatch):
    save(tmp_path, 3)
    monkeypatch.setattr("mova.train.loop.checkpoint._free", lambda _: 10)
    with pytest.raises(CheckpointError, match=r"no room; it needs 0.0 MB and 0.0 MB are free"):
        save(tmp_path, 4)
    assert newest_state(tmp_path).step == 3


def test_the_manifest_names_every_file(tmp_path):
    path = save(tmp_path, 4)
    manifest = json.loads((path / "state.json").read_text())
    assert set(manifest["files"]) | {"state.json"} == {file.name for file in path.iterdir()}
