"""Published networks out of their files."""

import pytest
import torch

from mova.errors import ConfigError
from mova.scorers.published.networks import device_of, on_device, opened
from published_networks import write_weights


def test_a_network_is_made_without_weights_and_takes_those_of_the_file(tmp_path):
    path = write_weights(torch.nn.Linear(3, 2), tmp_path / "w.pth", wrapped="model", prefix="module.")
    network = on_device(opened(lambda: torch.nn.Linear(3, 2), path))
    stored = torch.load(path, weights_only=True)["model"]
    assert torch.equal(network.weight.cpu(), stored["module.weight"])
    assert device_of(network) == network.weight.device
    assert not network.training


def test_a_file_of_another_network_is_an_error(tmp_path):
    path = write_weights(torch.nn.Linear(3, 2), tmp_path / "w.pth")
    with pytest.raises(ConfigError, match="must be the file for Conv1d"):
        opened(lambda: torch.nn.Conv1d(3, 2, 1), path)
