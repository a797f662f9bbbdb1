"""Published weights come into a network as they are stored; what does not fit is said in one text."""

import argparse
import collections
import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mova.errors import ConfigError
from mova.scorers.published.files import load_published


class Small(nn.Module):
    """A convolution and its normalisation."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.norm = nn.BatchNorm2d(2)


class Code:
    """Runs when it is unpickled."""

    def __reduce__(self):
        return (print, ("run",))


@pytest.fixture
def weights():
    torch.manual_seed(1)
    return {name: tensor.clone() + 1 for name, tensor in Small().state_dict().items()}


def loaded(path, **options):
    with torch.device("meta"):
        network = Small()
    load_published(network, path, **options)
    return network


def equal(network, weights):
    return all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())


def stored(path, content, **options):
    torch.save(content, path, **options)
    return path


def test_files_of_all_ages_and_of_safetensors_give_the_same_network(weights, tmp_path):
    paths = [
        stored(tmp_path / "new.pth", weights),
        stored(tmp_path / "old.model", weights, _use_new_zipfile_serialization=False),
        tmp_path / "other.safetensors",
    ]
    save_file(weights, paths[2])
    for path in paths:
        network = loaded(path)
        assert equal(network, weights)
        assert not network.training
        assert not any(one.requires_grad for one in network.parameters())


def test_a_network_that_has_weights_already_takes_those_of_the_file(weights, tmp_path):
    network = Small()
    load_published(network, stored(tmp_path / "w.pth", collections.OrderedDict(weights)))
    assert equal(network, weights)


@pytest.mark.parametrize("wrapped", [("state_dict",), ("model",), ("model", "state_dict")])
def test_wrappers_and_prefixes_are_taken_off(weights, tmp_path, wrapped):
    content = {f"module.{name}": tensor for name, tensor in weights.items()}
    for key in wrapped:
        content = {key: content, "epoch": 3}
    assert equal(loaded(stored(tmp_path / "w.pth", content), prefixes=("module.",)), weights)


def test_settings_beside_weights_are_passed_over(weights, tmp_path):
    omegaconf = pytest.importorskip("omegaconf")
    settings = omegaconf.OmegaConf.create({"model": {"dim": 3, "names": ["a", None]}, "rate": 0.1, "again": "${rate}"})
    content = {"model": weights, "args": settings, "place": tmp_path, "options": argparse.Namespace(seed=1)}
    assert equal(loaded(stored(tmp_path / "w.pth", content)), weights)


def test_counters_may_lack_and_others_only_where_they_are_named(weights, tmp_path):
    del weights["norm.num_batches_tracked"]
    network = loaded(stored(tmp_path / "w.pth", weights))
    assert not any(tensor.is_meta for tensor in network.state_dict().values())
    del weights["conv.bias"]
    path = stored(tmp_path / "less.pth", weights)
    with pytest.raises(ConfigError, match=r"1 missing \(conv\.bias\)$"):
        loaded(path)
    whole = Small()
    before = whole.conv.bias.detach().clone()
    load_published(whole, path, optional=("conv.b",))
    assert torch.equal(whole.conv.bias, before)


def test_names_of_the_file_may_be_ignored_whatever_they_hold(weights, tmp_path):
    path = stored(tmp_path / "w.pth", {**weights, "spectrogram.window": torch.ones(3), "epoch": 7})
    with pytest.raises(ConfigError, match="got int as 'epoch'"):
        loaded(path)
    assert equal(loaded(path, ignored=("spectrogram.", "epoch")), weights)


def test_half_precision_becomes_that_of_the_network(weights, tmp_path):
    half = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    assert loaded(stored(tmp_path / "w.pth", half)).conv.weight.dtype == torch.float32


def test_weights_of_another_model_are_refused_with_all_that_differs(weights, tmp_path):
    network = Small()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    del weights["norm.bias"]
    weights["conv.weight"] = torch.zeros(2, 1, 5, 5)
    weights["norm.weight"] = torch.zeros(2, dtype=torch.int64)
    weights.update({f"layer{index}.weight": torch.zeros(1) for index in range(6)})
    with pytest.raises(ConfigError) as caught:
        load_published(network, stored(tmp_path / "w.pth", weights))
    assert str(caught.value) == (
        f"{tmp_path / 'w.pth'} must be the file for Small with its 7 tensors, got that of another model, 12 tensors: "
        "1 missing (norm.bias); 6 extra (layer0.weight, layer1.weight, layer2.weight, layer3.weight, ...); "
        "2 of another shape (conv.weight [2, 1, 5, 5] for [2, 1, 3, 3], norm.weight [2] int64 for [2])"
    )
    assert equal(network, before)


def test_pickled_code_is_refused_and_not_run(weights, tmp_path, capsys):
    for name, content, options in (
        ("inside.pth", {**weights, "args": Code()}, {}),
        ("whole.pth", Code(), {}),
        ("old.pth", {"model": weights, "args": Code()}, {"_use_new_zipfile_serialization": False}),
        ("module.pth", Small(), {}),
    ):
        with pytest.raises(ConfigError, match=r"pickled code, of which nothing was run"):
            loaded(stored(tmp_path / name, content, **options))
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Code()))
    with pytest.raises(ConfigError, match=r"plain\.pth must "):
        loaded(tmp_path / "plain.pth")
    assert capsys.readouterr().out == ""


def test_damaged_and_foreign_files_are_refused(weights, tmp_path):
    whole = stored(tmp_path / "w.pth", weights).read_bytes()
    old = stored(tmp_path / "old.pth", weights, _use_new_zipfile_serialization=False).read_bytes()
    save_file(weights, tmp_path / "w.safetensors")
    safe = (tmp_path / "w.safetensors").read_bytes()
    damaged = {
        "cut.pth": whole[: len(whole) // 2],
        "end.pth": whole[:-1],
        "old_cut.pth": old[: len(old) // 2],
        "old_end.pth": old[:-8],
        "empty.pth": b"",
        "page.pth": b"<!DOCTYPE html><html>not found</html>",
        "cut.safetensors": safe[:-20],
        "page.safetensors": b"<!DOCTYPE html>",
    }
    for name, content in damaged.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError, match=name):
            loaded(tmp_path / name)
    for content, said in (([1, 2], "got list"), (torch.zeros(3), "got Tensor"), ({}, "7 tensors, got|6 missing")):
        with pytest.raises(ConfigError, match=said):
            loaded(stored(tmp_path / "other.pth", content))
    with pytest.raises(ConfigError, match="must be there"):
        loaded(tmp_path / "none.pth")
    with pytest.raises(ConfigError, match="must be there"):
        loaded(tmp_path)


def test_a_name_that_two_prefixes_make_is_refused(weights, tmp_path):
    path = stored(tmp_path / "w.pth", {**weights, "module.conv.bias": weights["conv.bias"]})
    with pytest.raises(ConfigError, match=r"'conv\.bias' twice"):
        loaded(path, prefixes=("module.",))
    assert equal(loaded(path, ignored=("module.",)), weights)


def test_sparse_tensors_are_refused(weights, tmp_path):
    path = stored(tmp_path / "w.pth", {**weights, "conv.bias": torch.eye(2).to_sparse()})
    with pytest.raises(ConfigError, match="must hold plain tensors"):
        loaded(path)
