"""Files of random weights at the published size, for what they cost: their numbers mean nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from mova.scorers.networks.audiobox import AudioboxNetwork
from mova.scorers.networks.clap import ClapNetwork
from mova.scorers.networks.dover.network import DoverNetwork
from mova.scorers.published.audiobox import AUDIOBOX
from mova.scorers.published.clap import CLAP, ROBERTA
from mova.scorers.published.dover import DOVER
from small_scorers import audiobox_checkpoint, save_roberta


def write_opinion_weights(folder: Path, names: Sequence[str]) -> None:
    """Write the files of `clap`, with a tokenizer of a few words, `audiobox` and `dover`, where they are named."""
    torch.manual_seed(0)
    if "clap" in names:
        torch.save(ClapNetwork().state_dict(), folder / CLAP.name)
        save_roberta(folder / ROBERTA.name)
    if "audiobox" in names:
        torch.save(audiobox_checkpoint(AudioboxNetwork()), folder / AUDIOBOX.name)
    if "dover" in names:
        torch.save(DoverNetwork().state_dict(), folder / DOVER.name)
