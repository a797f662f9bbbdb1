"""Networks whose state dicts have other names than their modules."""

import pytest
import torch
from torch import nn

from mova.scorers.networks.published_names import PublishedName, SpeaksPublishedNames, name_table


def rule(own):
    if own == "inner.steps":
        return None
    if own.startswith("inner."):
        part, kind = own.removeprefix("inner.").split(".")
        return PublishedName(f"old.both.{kind}", "ab".index(part))
    return PublishedName(f"old.{own}")


class Small(SpeaksPublishedNames):
    unused = ("old.head.",)

    def __init__(self):
        super().__init__()
        self.inner = nn.ModuleDict({"b": nn.Linear(3, 2), "a": nn.Linear(3, 2)})
        self.inner.register_buffer("steps", torch.arange(3))
        self.last = nn.Linear(2, 1)
        self.translate(rule)


def test_parts_lie_in_their_order_whatever_that_of_the_modules_is():
    table = name_table(["inner.b.weight", "inner.a.weight", "inner.steps", "last.bias"], rule)
    assert table == {"old.both.weight": ("inner.a.weight", "inner.b.weight"), "old.last.bias": ("last.bias",)}


def test_a_state_dict_has_published_names_and_is_taken_back():
    one, other = Small(), Small()
    state = one.state_dict()
    assert set(state) == {"old.both.weight", "old.both.bias", "old.last.weight", "old.last.bias"}
    assert torch.equal(state["old.both.weight"][:2], one.inner["a"].weight)
    other.load_state_dict(state | {"old.head.weight": torch.zeros(1)})
    assert torch.equal(other.inner["b"].weight, one.inner["b"].weight)
    assert other.inner.steps.tolist() == [0, 1, 2]


def test_names_inside_another_network_have_its_prefix():
    outer = nn.ModuleDict({"scorer": Small()})
    state = outer.state_dict()
    assert "scorer.old.both.weight" in state
    outer.load_state_dict(state)


@pytest.mark.parametrize("change", ["missing", "foreign"])
def test_what_is_missing_or_foreign_is_an_error(change):
    network = Small()
    state = dict(network.state_dict())
    if change == "missing":
        del state["old.both.bias"]
    else:
        state["old.other"] = torch.zeros(1)
    with pytest.raises(RuntimeError, match=r"inner\.a\.bias" if change == "missing" else r"old\.other"):
        network.load_state_dict(state)
