"""States on disk: complete or not there."""

import pytest
import torch

from mova.errors import CheckpointError
from mova.train.checkpoint import list_states, load_state, save_state

CPU = torch.device("cpu")


def save(folder, step, keep=2):
    return save_state(folder, step, {"step": step, "weights": [torch.full((3,), float(step))]}, keep)


def test_the_newest_state_comes_back_as_it_was(tmp_path):
    save(tmp_path, 7)
    save(tmp_path, 12)
    state = load_state(tmp_path, CPU)
    assert state["step"] == 12
    assert torch.equal(state["weights"][0], torch.full((3,), 12.0))


def test_a_folder_without_states_gives_none(tmp_path):
    assert load_state(tmp_path, CPU) is None
    assert load_state(tmp_path / "absent", CPU) is None


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_only_the_newest_few_stay(tmp_path, keep):
    for step in (5, 100, 20, 300, 1000):
        save(tmp_path, step, keep)
    assert [path.name for path in list_states(tmp_path)] == [
        f"step_{step:08d}" for step in (20, 100, 300, 1000)[-keep:]
    ][-keep:]


def test_the_order_is_that_of_the_steps_also_beyond_eight_digits(tmp_path):
    for step in (99_999_999, 100_000_000):
        save(tmp_path, step)
    assert load_state(tmp_path, CPU)["step"] == 100_000_000


def test_what_a_crash_left_is_ignored_and_removed_by_the_next_save(tmp_path):
    save(tmp_path, 3)
    (tmp_path / "step_00000009").mkdir()
    (tmp_path / "step_00000009" / "state.partial").write_bytes(b"half")
    assert load_state(tmp_path, CPU)["step"] == 3
    save(tmp_path, 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_00000003", "step_00000004"]


def test_a_save_that_fails_leaves_the_earlier_states(tmp_path):
    save(tmp_path, 3)
    with pytest.raises(AttributeError, match="pickle"):
        save_state(tmp_path, 3, {"step": lambda: 3}, keep=1)
    with pytest.raises(AttributeError, match="pickle"):
        save_state(tmp_path, 4, {"step": lambda: 4}, keep=1)
    assert load_state(tmp_path, CPU)["step"] == 3


def test_saving_a_step_again_replaces_it(tmp_path):
    save(tmp_path, 3)
    save_state(tmp_path, 3, {"step": 3, "again": True}, keep=2)
    assert load_state(tmp_path, CPU) == {"step": 3, "again": True}


@pytest.mark.parametrize("damage", ["cut", "emptied", "overwritten"])
def test_a_damaged_state_is_an_error_that_says_what_to_do(tmp_path, damage):
    save(tmp_path, 3)
    file = save(tmp_path, 4) / "state.pt"
    content = file.read_bytes()
    file.write_bytes({"cut": content[: len(content) // 2], "emptied": b"", "overwritten": b"not a state"}[damage])
    with pytest.raises(CheckpointError, match=r"step_00000004 cannot be read .*; remove it to fall back to step_0*3"):
        load_state(tmp_path, CPU)


def test_a_damaged_only_state_can_only_be_begun_anew(tmp_path):
    (save(tmp_path, 4) / "state.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match="remove it to begin anew"):
        load_state(tmp_path, CPU)
