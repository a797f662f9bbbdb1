"""What the clips of a call in Python say of their origin when they are saved: the record of `mova.pipeline.origin`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from mova.pipeline.origin import INPUTS, origin_of_versions
from mova.settings.sampling import SamplingSettings

IN_PYTHON = "given in Python"


@dataclass(frozen=True, eq=False)
class CallRecord:
    """How the clips of a call were made.

    Attributes:
        prompts, negative_prompts: of each clip; None where embeddings stood for it.
        settings: that they were made with.
        folder: of the model; None where the pipeline was made of components.
        adapters: LoRAs that acted, with their scales.
        media: what was given, by the argument's name.
        conditions: what else is to be said of it, as JSON values.
    """

    prompts: Sequence[str | None]
    negative_prompts: Sequence[str | None]
    settings: SamplingSettings
    folder: Path | None
    adapters: Mapping[str, float]
    media: Mapping[str, object] = field(default_factory=dict, repr=False)
    conditions: Mapping[str, object] = field(default_factory=dict)

    def of(self, clip: int, seeds: Sequence[tuple[int, int]] | None) -> dict[str, object]:
        """Return the record of one clip, as JSON values; the keys are those that the command writes."""
        from mova.weights.fingerprint import weights_hash

        made: dict[str, object] = {"prompt": self.prompts[clip], "negative_prompt": self.negative_prompts[clip]}
        if seeds is not None:
            made |= {"seed": seeds[clip][0], "index": seeds[clip][1]}
        made["settings"] = self.settings.record()
        if self.folder is not None:
            made |= {"model": self.folder.resolve().name, "weights_sha256": weights_hash(self.folder)}
        made |= origin_of_versions()
        made |= {
            name: {"file": IN_PYTHON, "sha256": fingerprint(value)}
            for name, value in self.media.items()
            if name in INPUTS and value is not None
        }
        made |= self.conditions
        loras = [{"file": name, "scale": scale} for name, scale in self.adapters.items()]
        return made | ({"loras": loras} if loras else {})


def each_text(texts: str | Sequence[str] | None, num_prompts: int, per_prompt: int) -> list[str | None]:
    """Return the text of each clip: of one for all, one per prompt, or one per clip."""
    count = num_prompts * per_prompt
    if texts is None or isinstance(texts, str):
        return [texts] * count
    if len(texts) == count:
        return list(texts)
    return [text for text in texts for _ in range(count // len(texts))]


def fingerprint(value: object) -> str:
    """Return a SHA-256 over values of arrays, tensors, images, or lists of them."""
    digest = hashlib.sha256()
    for part in value if isinstance(value, list | tuple) else [value]:
        content = part.detach().cpu().float().numpy() if isinstance(part, torch.Tensor) else np.asarray(part)
        digest.update(f"{content.shape} {content.dtype}".encode())
        digest.update(np.ascontiguousarray(content).tobytes())
    return digest.hexdigest()
