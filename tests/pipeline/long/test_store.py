"""Windows on disk."""

import pytest
import torch

from mova.errors import StateError
from mova.pipeline.long.given import WindowAttempt, WindowReport
from mova.pipeline.long.store import StoredWindow, WindowStore

REPORT = WindowReport(0, 0.0, 1.5, "a dog", 3, (WindowAttempt(2, "flat", "flat: ..."),))
WINDOW = StoredWindow(torch.rand(1, 2, 3, 4, 4), torch.rand(1, 2, 9), 7, REPORT)


def same(one, other):
    tensors = torch.equal(one.video, other.video) and torch.equal(one.audio, other.audio)
    return tensors and one.report == other.report and one.kept_audio == other.kept_audio


def test_a_window_comes_back_as_it_was(tmp_path):
    WindowStore(tmp_path / "w", {"seed": "1"}, pytest.fail).save(WINDOW)
    again = WindowStore(tmp_path / "w", {"seed": "1"}, pytest.fail)
    assert same(again.load(0), WINDOW)
    assert again.load(1) is None


def test_windows_of_another_clip_are_removed_and_said(tmp_path):
    notes = []
    WindowStore(tmp_path / "w", {"prompt": "1", "seed": "1"}, notes.append).save(WINDOW)
    store = WindowStore(tmp_path / "w", {"prompt": "2", "seed": "1"}, notes.append)
    assert store.load(0) is None
    assert notes == ["w holds windows of another clip (it differs in prompt); it begins anew"]


@pytest.mark.parametrize("place", [3, 40, 300, -5])
def test_a_damaged_window_counts_as_none(tmp_path, place):
    store = WindowStore(tmp_path / "w", {}, pytest.fail)
    store.save(WINDOW)
    path = tmp_path / "w" / "window-00000.safetensors"
    content = bytearray(path.read_bytes())
    content[place] ^= 255
    path.write_bytes(content)
    assert store.load(0) is None


def test_a_window_that_was_cut_counts_as_none(tmp_path):
    store = WindowStore(tmp_path / "w", {}, pytest.fail)
    store.save(WINDOW)
    path = tmp_path / "w" / "window-00000.safetensors"
    for length in (0, 5, 50, len(path.read_bytes()) - 1):
        path.write_bytes(path.read_bytes()[:length])
        assert store.load(0) is None


def test_steps_of_a_loop_are_kept_until_the_folder_goes(tmp_path):
    store = WindowStore(tmp_path / "w", {}, pytest.fail)
    assert store.load_steps() is None
    store.save_steps(b"state")
    assert store.load_steps() == b"state"
    store.clear()
    assert not (tmp_path / "w").exists()


def test_a_folder_that_cannot_be_is_an_error(tmp_path):
    (tmp_path / "w").write_text("a file")
    with pytest.raises(StateError, match="windows must be kept in a folder that can be written"):
        WindowStore(tmp_path / "w", {}, pytest.fail)
