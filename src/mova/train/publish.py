"""The last stage of a run: the parts become one model in the published layout, with its recommended settings."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from mova.codecs.prompt import load_tokenizer
from mova.diffusion.schedule import PairedFlowMatchScheduler
from mova.names import NETWORKS
from mova.pipeline.pipeline import MovaPipeline
from mova.train.config import PublishConfig
from mova.weights.components import load_component
from mova.weights.locate import find_model


def publish(config: PublishConfig) -> None:
    """Write `config.destination`: weights in bf16, the audio autoencoder in float16, the index last.

    What the run did not train, such as the encoders of a fine-tuning, is taken from `config.base`.

    Raises:
        CheckpointError: a component is missing or does not fit, or the destination cannot be written.
    """
    base = find_model(config.base) if config.base else config.model

    def folder_of(name: str) -> Path:
        own = config.model / name
        return own if own.is_dir() else base / name

    components = {name: load_component(folder_of(name), dtype=torch.bfloat16) for name in NETWORKS}
    # Rounded to the 8 bits of bf16 the decoder adds a floor of noise; float16 keeps 11.
    # `Module.to`, not the class's own: it would keep the parts that are computed in float32.
    nn.Module.to(components["audio_vae"], torch.float16)
    pipeline = MovaPipeline(
        **components,
        tokenizer=load_tokenizer(folder_of("tokenizer")),
        scheduler=PairedFlowMatchScheduler(shift=config.shift, sigma_min=0.0, sigma_max=1.0, extra_one_step=True),
        boundary_ratio=config.boundary_ratio,
    )
    pipeline.recommend(config.defaults)
    pipeline.save_pretrained(config.destination, max_shard_size=config.max_shard_size)
