"""States that strangers made or changed: refused, and nothing of them acts."""

import contextlib
import enum
import hashlib
import io
import json
import os
import pickle
import random
import zipfile

import pytest
import torch

from mova.errors import CheckpointError
from mova.train.loop.checkpoint import newest_state, save_state


def tensors_of(step):
    return {"weight": torch.full((3, 2), float(step)), "count": torch.tensor(float(step))}


def save(folder, step):
    return save_state(folder, step, tensors_of(step), {}, keep=2)


def read(state):
    tensors = {name: torch.zeros_like(tensor) for name, tensor in tensors_of(0).items()}
    state.read_into(tensors)
    return tensors


def rewrite(path, change):
    """Change a manifest as someone would who wants it to agree with the files."""
    manifest = json.loads((path / "state.json").read_text())
    change(manifest["files"])
    (path / "state.json").write_text(json.dumps(manifest))


def made_anew(path):
    def change(files):
        for name in files:
            content = (path / name).read_bytes()
            files[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    return change


def without_checksum(path):
    def change(files):
        files[".metadata"] = {"bytes": (path / ".metadata").stat().st_size, "sha256": None}

    return change


def left_out(path):
    return lambda files: files.pop(".metadata")


class AsPythonBefore3114(pickle.Pickler):
    """Pickles members of enumerations as Python 3.11.0 to 3.11.3 do: by `getattr`."""

    def reducer_override(self, value):
        return (getattr, (type(value), value.name)) if isinstance(value, enum.Enum) else NotImplemented


def test_a_state_that_an_earlier_python_wrote_is_read(tmp_path):
    state = save(tmp_path, 3)
    path = tmp_path / "step_00000003"
    with (path / ".metadata").open("rb") as file:
        index = pickle.load(file)
    with (path / ".metadata").open("wb") as file:
        AsPythonBefore3114(file).dump(index)
    assert b"getattr" in (path / ".metadata").read_bytes()
    rewrite(path, made_anew(path))
    assert torch.equal(read(newest_state(tmp_path))["weight"], tensors_of(3)["weight"]), state


class Strike:
    """Calls a function with a text when it is unpickled."""

    def __init__(self, function, text):
        self.function, self.text = function, text

    def __reduce__(self):
        return self.function, (self.text,)


@pytest.mark.parametrize("manifest", [made_anew, without_checksum, left_out])
@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("inside", [False, True])
def test_nothing_of_a_state_runs_whatever_its_manifest_says(tmp_path, manifest, protocol, inside):
    path = save(tmp_path, 4)
    evil = tmp_path / "evil"
    index = pickle.loads((path / ".metadata").read_bytes())
    strike = Strike(os.mkdir, str(evil))
    if inside:
        index.planner_data = {"weight": strike}
    (path / ".metadata").write_bytes(pickle.dumps(index if inside else strike, protocol))
    rewrite(path, manifest(path))
    with pytest.raises(
        CheckpointError, match=r"step_00000004 cannot be read \((its index (names|has)|\.metadata is not in)"
    ):
        newest_state(tmp_path)
    assert not evil.exists()


def test_tensors_are_not_unpickled_either(tmp_path):
    path = save(tmp_path, 4)
    evil = tmp_path / "evil"
    (path / "__0_0.distcp").write_bytes(pickle.dumps(Strike(os.mkdir, str(evil))).ljust(4000, b" "))
    rewrite(path, made_anew(path))
    with pytest.raises(CheckpointError, match=r"(weight|count) is no tensor of torch"):
        read(newest_state(tmp_path))
    assert not evil.exists()


def entry_of(index, name):
    return next(where for place, where in index.storage_data.items() if place.fqn == name)


def outside(index, tmp_path):
    entry_of(index, "weight").relative_path = "../secret"


def absolute(index, tmp_path):
    entry_of(index, "weight").relative_path = str(tmp_path / "secret")


def beyond_the_end(index, _):
    entry_of(index, "weight").length = 10**12


def negative(index, _):
    entry_of(index, "weight").offset = -1


def immense(index, _):
    index.state_dict_metadata["weight"].size = torch.Size([10**9, 10**6])


def immense_parts(index, _):
    entry = index.state_dict_metadata["weight"]
    entry.size = entry.chunks[0].sizes = torch.Size([10**9, 10**6])


def unplaced(index, _):
    index.storage_data.clear()


def transformed(index, _):
    entry_of(index, "weight").transform_descriptors = ["zstd"]


def without_tensors(index, _):
    index.state_dict_metadata = None


@pytest.mark.parametrize(
    "change",
    [outside, absolute, beyond_the_end, negative, immense, immense_parts, unplaced, transformed, without_tensors],
)
def test_an_index_that_does_not_fit_the_files_is_refused(tmp_path, change):
    path = save(tmp_path / "states", 4)
    (tmp_path / "secret").write_bytes(b"x" * 4000)
    index = pickle.loads((path / ".metadata").read_bytes())
    change(index, tmp_path)
    (path / ".metadata").write_bytes(pickle.dumps(index))
    rewrite(path, made_anew(path))
    with pytest.raises(CheckpointError, match="step_00000004 cannot be read"):
        newest_state(tmp_path / "states")


def test_a_file_that_a_state_links_to_is_not_read(tmp_path):
    path = save(tmp_path / "states", 4)
    file = path / "__0_0.distcp"
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match=r"__0_0.distcp is not what was written"):
        newest_state(tmp_path / "states")


@pytest.mark.parametrize("name", ["../../secret", "/dev/zero", "absent"])
def test_a_manifest_names_files_of_its_folder_only(tmp_path, name):
    path = save(tmp_path / "states", 4)
    rewrite(path, lambda files: files.update({name: {"bytes": 1, "sha256": "0" * 64}}))
    with pytest.raises(CheckpointError, match="is missing"):
        newest_state(tmp_path / "states")


def test_what_else_lies_in_the_folder_does_not_matter(tmp_path):
    path = save(tmp_path, 4)
    (path / ".DS_Store").write_bytes(b"x")
    assert torch.equal(read(newest_state(tmp_path))["weight"], tensors_of(4)["weight"])


def test_a_tensor_that_was_compressed_is_refused(tmp_path):
    path = save_state(tmp_path, 4, {"weight": torch.zeros(100)}, {}, keep=1)
    packed = io.BytesIO()
    with zipfile.ZipFile(path / "__0_0.distcp") as plain, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as other:
        for member in plain.infolist():
            other.writestr(member.filename, plain.read(member))
    index = pickle.loads((path / ".metadata").read_bytes())
    entry_of(index, "weight").length = len(packed.getvalue())
    (path / "__0_0.distcp").write_bytes(packed.getvalue())
    (path / ".metadata").write_bytes(pickle.dumps(index))
    rewrite(path, made_anew(path))
    with pytest.raises(CheckpointError, match="must be stored as it is, got it compressed"):
        newest_state(tmp_path).read_into({"weight": torch.ones(100)})


@pytest.mark.parametrize("count", [100, pytest.param(500, marks=pytest.mark.slow)])
def test_a_damaged_index_is_an_error_and_nothing_else(tmp_path, count):
    path = save(tmp_path, 4)
    content = (path / ".metadata").read_bytes()
    draw = random.Random(0)
    for _ in range(count):
        changed = bytearray(content)
        for _ in range(draw.randint(1, 4)):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        (path / ".metadata").write_bytes(bytes(changed[: draw.choice((len(changed), draw.randrange(len(changed))))]))
        rewrite(path, made_anew(path))
        with contextlib.suppress(CheckpointError):
            read(newest_state(tmp_path))


@pytest.mark.parametrize(
    "change",
    [{"step": "4"}, {"step": -1}, {"values": []}, {"files": None}, {"files": {".metadata": 3}}, {"step": 1e400}],
)
def test_a_manifest_of_wrong_types_is_an_error(tmp_path, change):
    path = save(tmp_path, 4)
    (path / "state.json").write_text(json.dumps(json.loads((path / "state.json").read_text()) | change))
    with pytest.raises(CheckpointError, match="step_00000004 cannot be read"):
        newest_state(tmp_path)
