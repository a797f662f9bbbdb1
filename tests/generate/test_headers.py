"""Headers agree with the stored tensors; damaged files are named."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from mova.errors import CheckpointError
from mova.generate.headers import TensorHeader, read_header, read_headers


@pytest.fixture
def folder(tmp_path):
    save_file({"a": np.zeros((2, 3), np.float32)}, tmp_path / "part-1.safetensors")
    save_file({"b": np.zeros((5,), np.float16), "c": np.zeros((), np.int64)}, tmp_path / "part-2.safetensors")
    return tmp_path


def test_a_header_gives_shape_and_dtype(folder):
    assert read_header(folder / "part-2.safetensors") == {"b": TensorHeader((5,), "F16"), "c": TensorHeader((), "I64")}


def test_all_files_of_a_component_count(folder):
    assert sum(header.num_elements for header in read_headers(folder).values()) == 6 + 5 + 1


def test_a_folder_without_weights_is_empty(tmp_path):
    assert read_headers(tmp_path) == {}


def test_a_file_that_was_cut_is_refused(folder):
    file = folder / "part-1.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(CheckpointError, match=r"part-1\.safetensors must be a whole safetensors file"):
        read_header(file)


@pytest.mark.parametrize("content", [b"", b"not a weight file at all"])
def test_another_kind_of_file_is_refused(tmp_path, content):
    file = tmp_path / "x.safetensors"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="must be a whole safetensors file"):
        read_header(file)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="must be a whole safetensors file"):
        read_header(tmp_path / "absent.safetensors")
