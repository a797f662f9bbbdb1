"""DOVER: published names, and what the original computed."""

import math

import pytest
import torch

import fill_weights
from mova.scorers.networks.dover.network import DoverNetwork, fused
from scorer_records import open_record


def test_the_state_dict_has_the_published_names_and_shapes():
    with torch.device("meta"):
        state = DoverNetwork().state_dict()
    facts = open_record("dover").facts["state_dict"]
    assert {name: [list(tensor.shape), str(tensor.dtype).removeprefix("torch.")] for name, tensor in state.items()} == (
        facts
    )


def test_branches_are_named_and_not_ordered():
    found = fused(technical=0.1107 + 0.07355, aesthetic=-0.08285)
    assert math.isclose(found.technical, 1 / (1 + math.exp(-1)))
    assert math.isclose(found.aesthetic, 0.5)
    assert math.isclose(found.overall, 1 / (1 + math.exp(-0.6104)))
    assert fused(technical=-1e6, aesthetic=1e6)[:2] == (1.0, 0.0)


@pytest.mark.slow
def test_maps_and_scores_are_those_that_were_recorded():
    record = open_record("dover")
    atol = record.facts["tolerance"]["suggested_atol"]
    mean, std = (torch.tensor(record.facts["inputs"][name])[:, None, None, None] for name in ("mean", "std"))
    network = DoverNetwork().eval()
    network.load_state_dict(network.state_dict() | record.state_dict())
    means = {}
    for branch, drawn in (("technical", "dover/technical0"), ("aesthetic", "dover/aesthetic")):
        frames = torch.from_numpy(fill_weights.image(drawn, 32, 224, 224)).permute(3, 0, 1, 2).float()
        with torch.inference_mode():
            features = network.get_submodule(f"{branch}_backbone")(((frames - mean) / std)[None])
            quality = network.get_submodule(f"{branch}_head")(features)
        found = {
            f"intermediate.{branch}.features_mean": features.mean((2, 3, 4)),
            f"output.{branch}.map": quality,
            f"output.{branch}.score": quality.mean((1, 2, 3, 4)),
        }
        means[branch] = float(quality.double().mean())
        for name, value in found.items():
            assert torch.allclose(value, record.tensors[name], rtol=1e-5, atol=atol[name]), name
    raw = torch.tensor([means["technical"], means["aesthetic"]], dtype=torch.float64)
    assert torch.allclose(raw, record.tensors["output.raw_means"], rtol=1e-5, atol=atol["output.raw_means"])
    together = torch.tensor(fused(**means), dtype=torch.float64)
    assert torch.allclose(together, record.tensors["output.fused"], rtol=1e-5, atol=atol["output.fused"])
