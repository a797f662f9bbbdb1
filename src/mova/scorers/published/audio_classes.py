"""What a clip sounds like to Cnn14: logits of 527 classes for the Inception Score, and an embedding for distances."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from mova.scorers.base import (
    Absence,
    Direction,
    EmbeddingSpace,
    Findings,
    Measure,
    Needs,
    Score,
    WeightsFile,
    all_absent,
    score_each,
)
from mova.scorers.clip_media import ClipMedia

if TYPE_CHECKING:
    from mova.scorers.networks.cnn14 import Cnn14

CNN14: Final = WeightsFile(
    "Cnn14_mAP=0.431.pth",
    "Zenodo record 3987831 (qiuqiangkong/audioset_tagging_cnn)",
    "MIT (code); see the record's page for the weights",
)
_PUBLISHED_WIDTHS: Final = (64, 128, 256, 512, 1024, 2048)
_RATE: Final = 32_000
_CONFIDENCE: Final = "cnn14_confidence"
# Of AudioSet's 527 classes, in the order of the published file.
_SILENCE: Final = 500


class AudioClassScorer:
    """Embedding and logits of the first ten seconds of a clip; shorter ones are filled up with silence.

    What is asked of a set of clips is computed from them: `sets.inception`, `sets.distance`.

    Args:
        folder: with the file; None where there is none.
        widths: channels of the network's blocks: other than the published ones only in tests.
    """

    name = "cnn14"
    measures = (
        Measure(
            _CONFIDENCE,
            "",
            Direction.HIGHER,
            "Probability of the surest of Cnn14's 527 classes of sound but silence, over 10 s.",
        ),
    )
    needs = Needs(audio=True, weights=(CNN14,))

    def __init__(self, folder: Path | None, widths: tuple[int, ...] = _PUBLISHED_WIDTHS) -> None:
        self._folder = folder
        self._widths = widths

    @property
    def spaces(self) -> tuple[EmbeddingSpace, ...]:
        """The embedding, and the logits of the classes, which are no vector of unit length."""
        return (
            EmbeddingSpace("cnn14", self._widths[-1], _CONFIDENCE, "Clips that sound alike to Cnn14."),
            EmbeddingSpace("cnn14_logits", 527, _CONFIDENCE, "Clips of the same classes of sound: Cnn14's logits."),
        )

    def score(self, clips: Sequence[ClipMedia]) -> list[Findings]:
        """Return embedding and logits of each clip that is not silent."""
        return score_each(self, clips, self._find)

    def check_weights(self) -> None:
        """See `CheckedScorer`."""
        if self._folder is not None:
            _read(self._folder / CNN14.name, self._widths)

    def _find(self, clip: ClipMedia) -> Findings:
        if self._folder is None:
            raise FileNotFoundError("no folder of weights is named")
        sound = clip.waveform(_RATE)
        if not sound.any():
            return all_absent(self.measures, Absence.NOT_APPLICABLE, "the sound is silent")
        logits, embedding = heard(sound, _network(self._folder / CNN14.name, self._widths))
        # Else the clip with the fewest sounds would have the best score, for its pauses.
        surest = 1.0 / (1.0 + float(np.exp(-np.delete(logits, _SILENCE).max().astype(np.float64))))
        return Findings({_CONFIDENCE: Score.of(surest)}, embeddings={"cnn14": embedding, "cnn14_logits": logits})


def heard(sound: np.ndarray, network: Cnn14) -> tuple[np.ndarray, np.ndarray]:
    """Return logits (527,) and embedding (2048,), float32, of a sound (S,) in [-1, 1] at 32 kHz."""
    import torch

    from mova.scorers.front_ends.published_mels import cnn14_mel
    from mova.scorers.published.networks import device_of

    with torch.inference_mode():
        logits, embedding = network(cnn14_mel(sound)[None].to(device_of(network)))
        return logits[0].float().cpu().numpy(), embedding[0].float().cpu().numpy()


@lru_cache(maxsize=1)
def _network(path: Path, widths: tuple[int, ...]) -> Cnn14:
    from mova.scorers.published.networks import on_device

    return on_device(_read(path, widths))


def _read(path: Path, widths: tuple[int, ...]) -> Cnn14:
    from mova.scorers.networks.cnn14 import FRONT_END, Cnn14
    from mova.scorers.published.networks import opened

    network = opened(lambda: Cnn14(widths, holds_front_end=True), path, optional=FRONT_END)
    network.drop_front_end()
    return network
