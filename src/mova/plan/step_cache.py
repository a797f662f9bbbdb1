"""How much memory a step cache takes: what each video block and bridge layer added, for every prediction of a step.

The cache itself is `mova.pipeline.loop.step_cache`; MOVA-360p at its own size takes 30 GB for each prediction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mova.geometry import ClipGeometry
from mova.weights.dims import ModelDims


@dataclass(frozen=True)
class StepCacheUse:
    """How a step cache is used.

    Attributes:
        order: 0 keeps the additions of one step, 1 those of two, 2 those of three.
        with_bridge, without_bridge: predictions of a step that use the bridge, and that do not.
    """

    order: int
    with_bridge: int
    without_bridge: int

    @classmethod
    def of_branches(cls, order: int, uses_bridge: Iterable[bool]) -> StepCacheUse:
        """Return the use for the branches of a step, given whether each uses the bridge."""
        uses = list(uses_bridge)
        return cls(order, sum(uses), len(uses) - sum(uses))

    def token_bytes(self, dim: int, num_blocks: int, num_layers: int, element_bytes: int) -> int:
        """Return the bytes that are kept for each video token.

        Args:
            dim: width of a token.
            num_blocks: blocks of the video tower.
            num_layers: layers of the bridge at which the video hears the audio, but for the one before the first block,
                which is always computed.
            element_bytes: bytes of an element of a token.
        """
        additions = (self.with_bridge + self.without_bridge) * num_blocks + self.with_bridge * num_layers
        return (self.order + 1) * additions * dim * element_bytes

    def num_bytes(self, model: ModelDims, geometry: ClipGeometry, element_bytes: int) -> int:
        """Return the bytes that are kept for one clip, where the bridge begins before the first block."""
        layers = max(0, model.bridge.num_audio_to_video - 1)
        per_token = self.token_bytes(model.video.dim, model.video.num_layers, layers, element_bytes)
        return geometry.num_video_tokens * per_token
