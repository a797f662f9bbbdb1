"""How well a clip's sound and its prompt go together: CLAP of LAION, 630k-audioset-fusion-best."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from mova.errors import ConfigError
from mova.scorers.base import (
    Absence,
    Direction,
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
    from tokenizers import Tokenizer

    from mova.scorers.networks.clap import ClapNetwork

CLAP: Final = WeightsFile(
    "630k-audioset-fusion-best.pt", "lukewys/laion_clap; pytorch_model.bin of Siyanl is the same", "none stated"
)
ROBERTA: Final = WeightsFile("roberta-base/tokenizer.json", "FacebookAI/roberta-base", "MIT")
_QUIRK_RATE: Final = 32_000


class ClapScorer:
    """Cosine of the embeddings of sound and prompt.

    The prompt is cut after 77 tokens. Sound is heard as in `front_ends.clap_audio`: of up to 10 s whole, of more in
    four views that are fused.

    Args:
        folder: with the files; None where there is none.
        hears_32_khz: gives the network samples at 32 kHz as if they were at 48 kHz, as the reference evaluation does:
            lower and slower sound, which scores otherwise.
    """

    name = "clap"
    measures = (Measure("clap_score", "", Direction.HIGHER, "CLAP: cosine between the sound and the prompt, -1 to 1."),)
    needs = Needs(audio=True, prompt=True, weights=(CLAP, ROBERTA))

    def __init__(self, folder: Path | None, *, hears_32_khz: bool = False) -> None:
        self._folder = folder
        self._hears_32_khz = hears_32_khz

    def score(self, clips: Sequence[ClipMedia]) -> list[Findings]:
        """Return the cosine of each clip that has a prompt and is not silent."""
        return score_each(self, clips, self._find)

    def check_weights(self) -> None:
        """See `CheckedScorer`."""
        if self._folder is not None:
            _read(self._folder / CLAP.name)
            read_tokenizer(self._folder / ROBERTA.name)

    def _find(self, clip: ClipMedia) -> Findings:
        from mova.scorers.front_ends.clap_audio import SAMPLE_RATE

        if self._folder is None:
            raise FileNotFoundError("no folder of weights is named")
        if not clip.prompt.strip():
            return all_absent(self.measures, Absence.NOT_APPLICABLE, "the clip has no prompt")
        sound = clip.waveform(_QUIRK_RATE if self._hears_32_khz else SAMPLE_RATE)
        if not sound.any():
            return all_absent(self.measures, Absence.NOT_APPLICABLE, "the sound is silent")
        network, tokenizer = _network(self._folder / CLAP.name), read_tokenizer(self._folder / ROBERTA.name)
        heard = sound_embedding(sound, network)
        read = text_embedding(clip.prompt, network, tokenizer)
        return Findings({"clap_score": Score.of(float(heard @ read))})


def sound_embedding(sound: np.ndarray, network: ClapNetwork) -> np.ndarray:
    """Return the unit vector of a sound.

    Args:
        sound: (S,) in [-1, 1] at 48 kHz, not silent.
        network: with weights.

    Returns:
        (512,) float64.
    """
    import torch

    from mova.scorers.front_ends import clap_audio
    from mova.scorers.published.networks import device_of

    raised = clap_audio.normalised(sound)
    is_longer = len(raised) > clap_audio.MOST_SAMPLES
    mels = clap_audio.fused_mels(raised) if is_longer else clap_audio.clap_mels([raised])
    with torch.inference_mode():
        found = network.embed_audio(mels.to(device_of(network)), is_longer=torch.tensor([is_longer]))
    return np.asarray(found[0].double().cpu().numpy())


def text_embedding(text: str, network: ClapNetwork, tokenizer: Tokenizer) -> np.ndarray:
    """Return the unit vector of a text.

    Args:
        text: of which 77 tokens are read.
        network: with weights.
        tokenizer: of `read_tokenizer`.

    Returns:
        (512,) float64.
    """
    import torch

    from mova.scorers.published.networks import device_of

    encoded = tokenizer.encode(text)
    device = device_of(network)
    ids, mask = (torch.tensor([row], device=device) for row in (encoded.ids, encoded.attention_mask))
    with torch.inference_mode():
        found = network.embed_text(ids, mask)
    return np.asarray(found[0].double().cpu().numpy())


@lru_cache(maxsize=1)
def read_tokenizer(path: Path) -> Tokenizer:
    """Return RoBERTa's tokenizer that fills up or cuts every text to 77 tokens.

    Raises:
        ConfigError: the file is not a tokenizer, or not RoBERTa's.
    """
    from tokenizers import Tokenizer

    from mova.scorers.networks.clap import MOST_TOKENS, PADDING_TOKEN

    rule = f"{path} must be the tokenizer.json of roberta-base"
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # what the package raises is of no class of its own
        raise ConfigError(f"{rule}, it cannot be read: {str(error)[:200]}") from error
    marks = {name: tokenizer.token_to_id(name) for name in ("<s>", "<pad>", "</s>")}
    if marks != {"<s>": 0, "<pad>": PADDING_TOKEN, "</s>": 2}:
        raise ConfigError(f"{rule} with <s>, <pad> and </s> as tokens 0, 1 and 2, got {marks}")
    tokenizer.enable_truncation(MOST_TOKENS)
    tokenizer.enable_padding(length=MOST_TOKENS, pad_id=PADDING_TOKEN, pad_token="<pad>")
    return tokenizer


@lru_cache(maxsize=1)
def _network(path: Path) -> ClapNetwork:
    from mova.scorers.published.networks import on_device

    return on_device(_read(path))


def _read(path: Path) -> ClapNetwork:
    """Return the network with its weights; nothing in the file is executed."""
    from mova.scorers.networks.clap import ClapNetwork
    from mova.scorers.published.networks import opened

    return opened(ClapNetwork, path, ignored=ClapNetwork.unused)
