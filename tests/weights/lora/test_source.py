"""Files and folders of LoRAs, found without being read."""

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mova.errors import CheckpointError, ConfigError
from mova.names import SHIPPED_LORAS
from mova.weights.lora.file import read_lora
from mova.weights.lora.source import (
    base_name,
    find_lora,
    is_lora_folder,
    parse_lora,
    refuse_pickle,
    shipped_lora,
    shipped_loras,
)


def folder(tmp_path, *names):
    for name in names:
        file = tmp_path / "adapter" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    return tmp_path / "adapter"


def test_a_folder_of_peft_has_its_settings_beside_the_weights(tmp_path):
    found = find_lora(folder(tmp_path, "adapter_model.safetensors", "adapter_config.json", "other.safetensors"))
    assert (found.weights.name, found.config.name, found.name) == (
        "adapter_model.safetensors",
        "adapter_config.json",
        "adapter",
    )
    assert find_lora(found.weights).config == found.config
    assert find_lora(tmp_path / "adapter" / "other.safetensors").config is None
    assert is_lora_folder(tmp_path / "adapter")


def test_another_folder_has_one_file_or_is_told_which(tmp_path):
    path = folder(tmp_path, "a.safetensors", "._a.safetensors", "sub/b.safetensors")
    assert find_lora(path).weights.name == "a.safetensors"
    assert find_lora(path, "sub/b.safetensors").name == "b.safetensors"
    folder(tmp_path, "c.safetensors")
    with pytest.raises(CheckpointError, match=r"one safetensors file, got .* with ._a.safetensors, a.safetensors, c"):
        find_lora(path)
    with pytest.raises(CheckpointError, match="weight_name must be a file in"):
        find_lora(path, "none.safetensors")
    with pytest.raises(ConfigError, match="weight_name is for a folder"):
        find_lora(path / "a.safetensors", "a.safetensors")


@pytest.mark.parametrize("name", ["../x.safetensors", "/etc/passwd", "a/../../b", "", "C:\\x", "a\\..\\b"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="weight_name must be a file inside the folder"):
        find_lora(folder(tmp_path, "a.safetensors"), name)


@pytest.mark.parametrize("name", ["lora.pt", "LoRA.PTH", "a b.ckpt", "adapter_model.bin"])
def test_a_pickled_file_is_refused_with_the_command_that_converts_it(tmp_path, name):
    file = tmp_path / name
    file.write_bytes(pickle.dumps({}))
    with pytest.raises(CheckpointError, match=r"is pickled: reading it could run code") as caught:
        read_lora(file)
    target = file.with_suffix(".safetensors")
    quoted = (f"'{file}'", f"'{target}'") if " " in name else (str(file), str(target))
    assert str(caught.value).endswith(f"mova weights convert {quoted[0]} {quoted[1]}")


def test_a_zip_archive_is_pickled_whatever_its_name(tmp_path):
    file = tmp_path / "x.safetensors"
    file.write_bytes(b"PK\x03\x04....")
    with pytest.raises(CheckpointError, match=r"x_converted.safetensors"):
        refuse_pickle(file)


def test_a_model_is_no_folder_of_a_lora(tmp_path):
    assert not is_lora_folder(folder(tmp_path, "adapter_config.json", "model_index.json"))
    assert not is_lora_folder(tmp_path / "none")


@pytest.mark.parametrize(
    ("base", "name"),
    [
        ("mova-tiny", "mova-tiny"),
        ("OpenMOSS-Team/MOVA-360p", "OpenMOSS-Team/MOVA-360p"),
        ("/home/me/models/MOVA-360p/", "MOVA-360p"),
        ("./runs/mine", "mine"),
        ("../mine", "mine"),
        ("~/mine", "mine"),
        ("a/b/c", "c"),
        (r"C:\Users\me\MOVA", "MOVA"),
        ("", ""),
        ("/", ""),
    ],
)
def test_the_name_of_a_base_says_nothing_of_a_machine(base, name):
    assert base_name(base) == name


@given(scale=st.floats(-10, 10).map(lambda value: round(value, 3)))
def test_a_lora_is_a_file_and_a_scale(scale):
    assert parse_lora(f"a/style.safetensors:{scale}") == (Path("a/style.safetensors"), scale)


@pytest.mark.parametrize(
    ("text", "path", "scale"),
    [
        ("style.safetensors", "style.safetensors", 1.0),
        ("odd:name.safetensors", "odd:name.safetensors", 1.0),
        ("odd:name.safetensors:.5", "odd:name.safetensors", 0.5),
        ("x:-1e-1", "x", -0.1),
    ],
)
def test_a_colon_that_no_number_follows_is_part_of_the_name(text, path, scale):
    assert parse_lora(text) == (Path(path), scale)


@pytest.mark.parametrize(("text", "scale"), [("mova-tiny_conditions", 1.0), ("mova-tiny_conditions:0.5", 0.5)])
def test_a_lora_that_comes_with_the_package_has_a_name(tmp_path, monkeypatch, text, scale):
    monkeypatch.chdir(tmp_path)
    assert parse_lora(text) == (SHIPPED_LORAS / "mova-tiny_conditions.safetensors", scale)
    assert find_lora(parse_lora(text)[0]).weights.is_file()
    (tmp_path / "mova-tiny_conditions").mkdir()
    assert parse_lora(text) == (Path("mova-tiny_conditions"), scale)


@pytest.mark.parametrize("name", ["../loras/mova-tiny_conditions", "nobody", "..", "a" * 300])
def test_a_name_of_no_shipped_lora_is_a_path(name):
    assert parse_lora(name) == (Path(name), 1.0)
    assert shipped_lora(name) is None
    assert shipped_loras() == ["mova-tiny_conditions", "mova-tiny_wordings"]


@pytest.mark.parametrize("text", ["", " ", ":0.5"])
def test_a_lora_without_a_file_is_refused(text):
    with pytest.raises(ConfigError, match="a LoRA must read FILE or FILE:SCALE"):
        parse_lora(text)
