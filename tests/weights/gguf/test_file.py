"""GGUF files that are written here byte by byte."""

import os
import struct

import pytest
import torch

from gguf_writer import write_gguf
from mova.errors import CheckpointError
from mova.weights.gguf.file import GgufFile


def draw(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


@pytest.fixture
def file(tmp_path):
    tensors = {
        "model.diffusion_model.a.weight": draw(6, 64),
        "model.diffusion_model.b.weight": draw(3, 32),
        "model.diffusion_model.c.bias": draw(5),
        "model.diffusion_model.d.weight": draw(2, 256),
        "model.diffusion_model.e.weight": draw(8, 3, 1, 2, 2),
    }
    kinds = dict(zip(tensors, ("Q8_0", "Q4_0", "BF16", "Q4_K", "F16"), strict=True))
    metadata = {"general.name": "test", "some.list": [1, 2, 3], "some.texts": ["x", "yz"]}
    return write_gguf(tmp_path / "tower.gguf", tensors, kinds, metadata), tensors


def test_names_shapes_and_numbers_are_those_that_were_written(file):
    path, tensors = file
    found = GgufFile(path)
    assert list(found.tensors) == ["a.weight", "b.weight", "c.bias", "d.weight", "e.weight"]
    assert {name: tensor.kind.name for name, tensor in found.tensors.items()} == {
        "a.weight": "Q8_0",
        "b.weight": "Q4_0",
        "c.bias": "BF16",
        "d.weight": "Q4_K",
        "e.weight": "F16",
    }
    assert (found.metadata["general.name"], found.metadata["some.list"]) == ("test", [1, 2, 3])
    assert found.metadata["some.texts"] == ["x", "yz"]
    # Half a step of the largest value of each block: 1 / 254 and 1 / 14.
    for name, tolerance in (("a.weight", 0.02), ("b.weight", 0.3), ("c.bias", 0.02), ("e.weight", 0.002)):
        original = tensors[f"model.diffusion_model.{name}"]
        number = found.read(name, torch.float32)
        assert number.shape == original.shape
        assert (number - original).abs().max() < tolerance, name
    # By hand: 0.5 x 1 x 3 - 0.25 x 1 and 0.5 x 1 x 5 - 0.25 x 1.
    assert found.read("d.weight", torch.float32).unique().tolist() == [1.25, 2.25]
    dtypes = {name: found.read(name).dtype for name in found.tensors}
    assert dtypes == dict.fromkeys(("a.weight", "b.weight", "c.bias", "d.weight"), torch.bfloat16) | {
        "e.weight": torch.float16
    }


@pytest.mark.parametrize("alignment", [32, 64, 4096])
@pytest.mark.parametrize("version", [2, 3])
def test_tensors_begin_where_the_alignment_says(tmp_path, alignment, version):
    tensors = {"one": draw(3), "two": draw(7, 5)}
    path = write_gguf(tmp_path / "x.gguf", tensors, {}, alignment=alignment, version=version)
    found = GgufFile(path)
    assert all(torch.equal(found.read(name), tensor) for name, tensor in tensors.items())
    assert all(tensor.offset % alignment == 0 for tensor in found.tensors.values())


def test_a_tensor_that_was_reshaped_gets_its_true_shape_back(tmp_path):
    tensor = draw(8, 4, 2, 2, 2)
    metadata = {"comfy.gguf.orig_shape.patch.weight": [8, 4, 2, 2, 2]}
    shapes = {"patch.weight": (1, 256)}
    path = write_gguf(tmp_path / "x.gguf", {"patch.weight": tensor}, {"patch.weight": "Q8_0"}, metadata, shapes)
    found = GgufFile(path).read("patch.weight", torch.float32)
    assert found.shape == tensor.shape
    torch.testing.assert_close(found, tensor, atol=0.03, rtol=0)
    metadata = {"comfy.gguf.orig_shape.patch.weight": [8, 4, 2]}
    write_gguf(tmp_path / "x.gguf", {"patch.weight": tensor}, {}, metadata, shapes)
    with pytest.raises(CheckpointError, match=r"as many values as its true shape \[8, 4, 2\], got \[1, 256\]"):
        GgufFile(tmp_path / "x.gguf")


def other_kind(number):
    """Give the tensor of 5 numbers in BF16 another format."""

    def change(data):
        old, new = (b"c.bias" + struct.pack("<IQI", 1, 5, kind) for kind in (30, number))
        assert data.count(old) == 1
        return data.replace(old, new)

    return change


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda data: b"GGML" + data[4:], "it does not begin with GGUF"),
        (lambda data: data[:4] + struct.pack("<I", 9) + data[8:], "version must be 2 or 3, got 9"),
        (lambda data: data[:8] + struct.pack("<Q", 2**60) + data[16:], "entries cannot be in"),
        (lambda data: data[:16] + struct.pack("<Q", 2**60) + data[24:], "entries cannot be in"),
        (lambda data: data[:40], "whole GGUF file"),
        (lambda data: data[:-40], r"is cut short: 'model\.diffusion_model\.e\.weight' ends at byte"),
        (other_kind(19), r"blocks must be F32, F16, Q4_0, .* got ggml type 19 of 'model\.diffusion_model\.c\.bias'"),
        (other_kind(8), r"rows of Q8_0 must be a multiple of 32 long, got \[5\] of"),
        (lambda data: data.replace(b"c.bias", b"\xff.bias"), "whole GGUF file"),
    ],
)
def test_what_is_no_whole_file_is_refused(file, change, text):
    path, _ = file
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(CheckpointError, match=text):
        GgufFile(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"nothing\.gguf must be a whole GGUF file"):
        GgufFile(tmp_path / "nothing.gguf")


@pytest.mark.parametrize(
    ("shapes", "metadata", "text"),
    [
        ({}, {"comfy.gguf.orig_shape.a": "4,8"}, r"comfy\.gguf\.orig_shape\.a must be a list of sizes .*, got '4,8'"),
        ({}, {"comfy.gguf.orig_shape.a": ["4", "8"]}, r"orig_shape\.a must be a list of sizes"),
        ({}, {"comfy.gguf.orig_shape.a": [-4, -8]}, r"orig_shape\.a must be a list of sizes"),
        ({}, {"comfy.gguf.orig_shape.a": 32}, r"orig_shape\.a must be a list of sizes"),
        ({"a": (4, 0)}, {}, r"sizes must be 1 or more, got \[4, 0\] of 'a'"),
        ({"a": (2**62, 4)}, {}, "is cut short"),
        ({}, {"general.alignment": "32"}, r"general\.alignment must be 1 to 1048576, got '32'"),
        ({}, {"general.alignment": 0}, r"general\.alignment must be 1 to"),
        ({}, {"general.alignment": 2**31}, r"general\.alignment must be 1 to"),
    ],
)
def test_metadata_and_shapes_of_another_kind_are_named_with_file_and_key(tmp_path, shapes, metadata, text):
    path = tmp_path / "x.gguf"
    write_gguf(path, {"a": torch.zeros(4, 8)}, {}, metadata, shapes)
    with pytest.raises(CheckpointError, match=rf"x\.gguf.*{text}"):
        GgufFile(path)


def test_two_names_of_one_tensor_are_refused(tmp_path):
    path = tmp_path / "x.gguf"
    write_gguf(path, {"a": torch.zeros(2), "diffusion_model.a": torch.zeros(2)}, {})
    with pytest.raises(CheckpointError, match="each tensor once, got 'a' twice"):
        GgufFile(path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.gguf")
    with pytest.raises(CheckpointError, match="it is no file"):
        GgufFile(tmp_path / "x.gguf")
