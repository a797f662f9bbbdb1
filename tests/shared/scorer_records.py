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

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return a published state dict whose values were drawn by name; buffers that the rule keeps are left out."""
        rule = self.facts["weight_rule"]
        made = {}
        for name, (shape, dtype) in self.facts["state_dict"].items():
            if "float" not in dtype or name.startswith(tuple(rule["keep"])):
                continue
            gain = fill_weights.gain_for(name, rule["gains"])
            made[name] = torch.from_numpy(np.asarray(fill_weights.value(name, shape, gain)).reshape(shape))
        return made


def open_record(folder, name="record"):
    """Return a record by its folder, for example `syncnet`, and the name of its files."""
    place = RECORDS / folder
    tensors = place / f"{name}.safetensors"
    facts = json.loads((place / f"{name}.json").read_text())
    return ScorerRecord(facts, load_file(tensors) if tensors.is_file() else {})
