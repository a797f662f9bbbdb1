"""All scorers by their names, and the set of them that is applied to clips."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from mova.errors import ConfigError
from mova.scorers import weights_folder
from mova.scorers.base import (
    Absence,
    CheckedScorer,
    EmbeddingScorer,
    EmbeddingSpace,
    Findings,
    Measure,
    Score,
    Scorer,
    WeightsFile,
    all_absent,
)
from mova.scorers.by_file.audio_tags import AudioTagScorer
from mova.scorers.by_file.faces import FaceScorer
from mova.scorers.by_file.nsfw import NsfwScorer
from mova.scorers.by_file.voice import VoiceScorer
from mova.scorers.clip_media import ClipMedia
from mova.scorers.front_ends.clip_starts import Spacing
from mova.scorers.hashes import HashScorer
from mova.scorers.image_faults import ImageFaultScorer
from mova.scorers.levels import LevelScorer
from mova.scorers.motion import MotionScorer
from mova.scorers.published.audio_classes import AudioClassScorer
from mova.scorers.published.audiobox import AudioboxScorer
from mova.scorers.published.clap import ClapScorer
from mova.scorers.published.desync import DesyncScorer
from mova.scorers.published.dover import DoverScorer
from mova.scorers.published.imagebind import ImageBindScorer
from mova.scorers.published.lip_sync import LipSyncScorer
from mova.scorers.published.quirks import NO_QUIRKS, Quirks
from mova.scorers.published.video_reward import VideoRewardScorer
from mova.scorers.sound_events import SoundEventScorer
from mova.scorers.spectrum import SpectrumScorer
from mova.scorers.speech_quality import SpeechQualityScorer
from mova.scorers.synchrony import SynchronyScorer
from mova.scorers.text_area import TextAreaScorer
from mova.scorers.words.choice import TranscriberChoice
from mova.scorers.words.cpcer import CpcerScorer
from mova.scorers.words.heard import HeardScorer
from mova.scorers.words.said import SaidScorer
from mova.scorers.words.written import WrittenScorer


@dataclass(frozen=True)
class ScorerSettings:
    """What can be chosen of scorers.

    Attributes:
        weights: folder of weights; None where there is none.
        flow_short_side: pixels of the shorter side at which AV-Align looks; None takes the clip's own.
        text_rate: frames per second in which text is looked for.
        quirks: of the reference evaluation that are taken over.
        imagebind_spacing: of the clips of a sound that ImageBind listens to.
        transcriber: who writes down what is said; None where none is chosen.
    """

    weights: Path | None = None
    flow_short_side: int | None = 256
    text_rate: float = 1.0
    quirks: Quirks = NO_QUIRKS
    imagebind_spacing: Spacing = Spacing.THIRDS
    transcriber: TranscriberChoice | None = None


_MAKERS: Final[Mapping[str, Callable[[ScorerSettings], Scorer]]] = {
    "levels": lambda settings: LevelScorer(is_mono=settings.quirks.mono_loudness),
    "spectrum": lambda _: SpectrumScorer(),
    "sound_events": lambda _: SoundEventScorer(),
    "speech_quality": lambda settings: SpeechQualityScorer(of_all=settings.quirks.dnsmos_of_all_sounds),
    "image_faults": lambda _: ImageFaultScorer(),
    "motion": lambda _: MotionScorer(),
    "synchrony": lambda settings: SynchronyScorer(settings.flow_short_side),
    "text_area": lambda settings: TextAreaScorer(settings.text_rate),
    "hashes": lambda _: HashScorer(),
    "said": lambda settings: SaidScorer(settings.transcriber),
    "cpcer": lambda settings: CpcerScorer(settings.transcriber),
    "written": lambda settings: WrittenScorer(settings.text_rate),
    "heard": lambda settings: HeardScorer(settings.weights),
    "audio_tags": lambda settings: AudioTagScorer(settings.weights),
    "voice": lambda settings: VoiceScorer(settings.weights),
    "faces": lambda settings: FaceScorer(settings.weights),
    "nsfw": lambda settings: NsfwScorer(settings.weights),
    "cnn14": lambda settings: AudioClassScorer(settings.weights),
    "imagebind": lambda settings: ImageBindScorer(settings.weights, settings.quirks, settings.imagebind_spacing),
    "synchformer": lambda settings: DesyncScorer(settings.weights, settings.quirks),
    "dover": lambda settings: DoverScorer(settings.weights),
    "audiobox": lambda settings: AudioboxScorer(settings.weights),
    "syncnet": lambda settings: LipSyncScorer(settings.weights),
    "clap": lambda settings: ClapScorer(settings.weights, hears_32_khz=settings.quirks.clap_32_khz),
    "video_reward": lambda settings: VideoRewardScorer(settings.weights),
}

SCORER_NAMES: Final = tuple(_MAKERS)
"""In the order in which they are applied."""


def all_measures() -> tuple[Measure, ...]:
    """Return every measure that there is, whether or not its weights are here."""
    return make_scorers().measures


def all_spaces() -> tuple[EmbeddingSpace, ...]:
    """Return every space that there are embeddings in, whether or not its weights are here."""
    return make_scorers().spaces


def check_measure(name: str) -> Measure:
    """Return a measure by its name.

    Raises:
        ConfigError: there is none; the text names the nearest.
    """
    known = {measure.name: measure for measure in all_measures()}
    if name not in known:
        raise ConfigError(f"a score must be one of the scorers' measures, got {name!r}{_nearest(name, tuple(known))}")
    return known[name]


def make_scorers(names: Sequence[str] | None = None, settings: ScorerSettings | None = None) -> ScorerSet:
    """Return scorers by their names, made cheaply: networks are loaded when the first clip is scored.

    Args:
        names: of `SCORER_NAMES`; None takes all.
        settings: what is chosen of them.

    Raises:
        ConfigError: a name is unknown; the text names the nearest. Or one is there twice.
    """
    chosen = SCORER_NAMES if names is None else tuple(names)
    for name in chosen:
        if name not in _MAKERS:
            raise ConfigError(f"a scorer must be one that there is, got {name!r}{_nearest(name, SCORER_NAMES)}")
        if chosen.count(name) > 1:
            raise ConfigError(f"every scorer must be named once, got {name!r} {chosen.count(name)} times")
    settings = settings or ScorerSettings()
    ordered = sorted(chosen, key=SCORER_NAMES.index)
    return ScorerSet([_MAKERS[name](settings) for name in ordered], settings.weights)


def _nearest(name: str, known: Sequence[str]) -> str:
    from mova.recipe.base import nearest_name

    return nearest_name(name, known)


class ScorerSet:
    """Scorers that are applied to clips together.

    Args:
        scorers: their measures have different names.
        weights: folder of weights; None where there is none.
    """

    def __init__(self, scorers: Sequence[Scorer], weights: Path | None = None) -> None:
        self._scorers = tuple(scorers)
        self._weights = weights

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Everything that they measure."""
        return tuple(measure for scorer in self._scorers for measure in scorer.measures)

    @property
    def spaces(self) -> tuple[EmbeddingSpace, ...]:
        """Everything that they give embeddings in."""
        return tuple(space for one in self._scorers if isinstance(one, EmbeddingScorer) for space in one.spaces)

    @property
    def packages(self) -> tuple[str, ...]:
        """Modules that one of them imports, in order."""
        return tuple(sorted({name for scorer in self._scorers for name in scorer.needs.packages}))

    @property
    def reads_prompt(self) -> bool:
        """Whether one of them reads what a clip was made from."""
        return any(scorer.needs.prompt for scorer in self._scorers)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of what else is known of a clip that one of them reads, in order."""
        return tuple(sorted({name for scorer in self._scorers for name in scorer.needs.columns}))

    @property
    def reads_transcript(self) -> bool:
        """Whether one of them reads what is said in a clip."""
        return any(scorer.needs.transcriber for scorer in self._scorers)

    @property
    def skipped(self) -> tuple[Absence, str] | None:
        """Why the first that cannot work here cannot; None where all can."""
        reasons = (weights_folder.reason(scorer.needs, self._weights) for scorer in self._scorers)
        return next((reason for reason in reasons if reason is not None), None)

    @property
    def weights(self) -> tuple[WeightsFile, ...]:
        """Files of weights that one of them reads."""
        return tuple(file for scorer in self._scorers for file in scorer.needs.weights)

    @cached_property
    def weights_sha256(self) -> Mapping[str, str]:
        """Digests of the files of weights that are there, by their names.

        Raises:
            ConfigError: a file is not the one that a scorer was made for.
        """
        return weights_folder.digests(self.weights, self._weights)

    def check_weights(self) -> None:
        """Look at the files of weights of those that can work here, before any clip is looked at.

        Raises:
            ConfigError: a file is not the one that a scorer was made for, is damaged, or is that of another model.
        """
        _ = self.weights_sha256
        for scorer in self._scorers:
            if isinstance(scorer, CheckedScorer) and weights_folder.reason(scorer.needs, self._weights) is None:
                scorer.check_weights()

    def score(self, clips: Sequence[ClipMedia]) -> list[Findings]:
        """Return what all of them find in each clip; every measure has a value or a reason, whatever goes wrong."""
        by_scorer = [self._apply(scorer, clips) for scorer in self._scorers]
        return [_join(parts) for parts in zip(*by_scorer, strict=True)] if by_scorer else [Findings({}) for _ in clips]

    def _apply(self, scorer: Scorer, clips: Sequence[ClipMedia]) -> list[Findings]:
        why = weights_folder.reason(scorer.needs, self._weights)
        if why is not None:
            return [all_absent(scorer.measures, *why) for _ in clips]
        try:
            found = scorer.score(clips)
            if len(found) != len(clips):
                raise ValueError(
                    f"a scorer must answer for {len(clips)} clips, got {len(found)} answers of {scorer.name}"
                )
        except Exception as error:
            if len(clips) > 1:
                # One clip must not take the others of its batch with it.
                return [answer for clip in clips for answer in self._apply(scorer, [clip])]
            return [all_absent(scorer.measures, Absence.FAILED, f"{type(error).__name__}: {error}")]
        return [_complete(scorer, findings) for findings in found]


def _complete(scorer: Scorer, findings: Findings) -> Findings:
    nothing = Score.absent(Absence.FAILED, f"{scorer.name} said nothing of it")
    return replace(findings, scores={one.name: findings.scores.get(one.name, nothing) for one in scorer.measures})


def _join(parts: Sequence[Findings]) -> Findings:
    return Findings(
        scores={name: score for part in parts for name, score in part.scores.items()},
        tags=tuple(dict.fromkeys(tag for part in parts for tag in part.tags)),
        spans={name: spans for part in parts for name, spans in part.spans.items()},
        fingerprints={name: text for part in parts for name, text in part.fingerprints.items()},
        texts=tuple(text for part in parts for text in part.texts),
        embeddings={name: vector for part in parts for name, vector in part.embeddings.items()},
        traces=tuple(trace for part in parts for trace in part.traces),
    )
