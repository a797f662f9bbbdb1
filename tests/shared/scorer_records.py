"""Records of scorer networks: what the original code computed from weights that follow from the tensors' names."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

import fill_weights

RECORDS = Path(__file__).parents[1] / "scorers" / "records"


@dataclass(frozen=True)
class ScorerRecord:
    """One folder of records.

    Attributes:
        facts: its JSON.
        tensors: its arrays by name, for example `output.logits`.
    """

    facts: dict[str, Any]
    tensors: dict[str, torch.Tensor]

    def state_dict(self, prefix: str = "") -> dict[str, torch.Tensor]:
        """Return a published state dict whose values were drawn by name; buffers that the rule keeps are left out.

        Args:
            prefix: of the names that are wanted, which stays on them.
        """
        rule = self.facts["weight_rule"]
        made = {}
        for name, (shape, dtype) in self.facts["state_dict"].items():
            if "float" not in dtype or name.startswith(tuple(rule["keep"])) or not name.startswith(prefix):
                continue
            gain = fill_weights.gain_for(name, rule["gains"])
            made[name] = torch.from_numpy(np.asarray(fill_weights.value(name, shape, gain)).reshape(shape))
        return made

    def network(self, make, *prefixes: str) -> torch.nn.Module:
        """Return a network with the drawn weights of some parts, ready to be applied; the others stay without any.

        Args:
            make: makes the network.
            prefixes: of the names of the parts; all where none is given.
        """
        with torch.device("meta"):
            made = make()
        for prefix in prefixes or ("",):
            made.load_state_dict(self.state_dict(prefix), strict=False, assign=True)
        return made.eval()

    def near(self, name: str) -> dict[str, float]:
        """Return how near a tensor of this name must come, as `torch.testing.assert_close` takes it."""
        facts = self.facts["tolerance"]
        atol = facts["suggested_atol"]
        return {"atol": atol[name] if isinstance(atol, dict) else atol, "rtol": facts["suggested_rtol"]}

    def check(self, found: torch.Tensor, name: str) -> None:
        """Compare a tensor with that of a name, inside its tolerance."""
        torch.testing.assert_close(found, self.tensors[name], **self.near(name))


def names_of(make) -> dict[str, list[object]]:
    """Return shapes and dtypes by name of a network, as records write them."""
    with torch.device("meta"):
        return {name: [list(value.shape), str(value.dtype)[6:]] for name, value in make().state_dict().items()}


def open_record(folder, name="record"):
    """Return a record by its folder, for example `syncnet`, and the name of its files."""
    place = RECORDS / folder
    tensors = place / f"{name}.safetensors"
    facts = json.loads((place / f"{name}.json").read_text())
    return ScorerRecord(facts, load_file(tensors) if tensors.is_file() else {})
