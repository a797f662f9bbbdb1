"""Encode every clip once, so that the towers train without encoders in memory: fills the cache of a run."""

from __future__ import annotations

from pathlib import Path

from mova.data.latents import open_splits
from mova.train.config import LatentsConfig
from mova.train.loop.trainer import OnProgress, choose_device
from mova.train.stages.latent_stage import show_encoding


class LatentsStage:
    """Fills a cache with both splits, with the encoders of the model directory.

    Args:
        config: the recipe.
        cache: folder of encoded clips; what it holds already is not made again.
    """

    def __init__(self, config: LatentsConfig, cache: Path) -> None:
        self.config, self.cache = config, cache

    def run(self, on_progress: OnProgress | None = None) -> None:
        """Encode what is missing of both splits."""
        open_splits(
            self.config.data,
            model=self.config.model,
            cache=self.cache,
            device=choose_device(self.config.device),
            compute=self.config.compute,
            on_progress=lambda split: show_encoding(on_progress, split),
            known=self.config.known,
        )
