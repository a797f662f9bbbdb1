"""Measures of published networks whose weights no package brings: their place, and the reason why there is no value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mova.scorers.base import Absence, Direction, Findings, Measure, Needs, WeightsFile, all_absent
from mova.scorers.clip_media import ClipMedia


@dataclass(frozen=True)
class ElsewhereScorer:
    """A scorer without a network: every clip gets the reason.

    Attributes:
        name: of the scorer.
        measures: that the network would give.
        needs: the files that it would read, and what of a clip.
    """

    name: str
    measures: tuple[Measure, ...]
    needs: Needs

    def score(self, clips: Sequence[ClipMedia]) -> list[Findings]:
        """Say of each clip that this version has no network for the files, which are there."""
        names = ", ".join(file.name for file in self.needs.weights)
        return [all_absent(self.measures, Absence.PACKAGE, f"this version has no network for {names}") for _ in clips]


def _higher(name: str, meaning: str) -> Measure:
    return Measure(name, "", Direction.HIGHER, meaning)


ELSEWHERE: Final = (
    ElsewhereScorer(
        "dover",
        (
            _higher("dover_aesthetic", "DOVER: how well a video is composed, 0 to 1."),
            _higher("dover_technical", "DOVER: how free a video is of faults, 0 to 1."),
        ),
        Needs(
            frames=True,
            weights=(WeightsFile("DOVER.pth", "VQAssessment/DOVER, release 0.1", "S-Lab 1.0, non-commercial"),),
        ),
    ),
    ElsewhereScorer(
        "audiobox",
        (
            _higher("audiobox_ce", "Audiobox Aesthetics: how much a listener enjoys the content, 1 to 10."),
            _higher("audiobox_cu", "Audiobox Aesthetics: how useful the content is, 1 to 10."),
            Measure(
                "audiobox_pc", "", Direction.NEITHER, "Audiobox Aesthetics: how complex the production is, 1 to 10."
            ),
            _higher("audiobox_pq", "Audiobox Aesthetics: how good the production is, 1 to 10."),
        ),
        Needs(
            audio=True, weights=(WeightsFile("audiobox-aesthetics.pt", "facebook/audiobox-aesthetics", "CC-BY-4.0"),)
        ),
    ),
    ElsewhereScorer(
        "syncnet",
        (
            Measure("lse_d", "", Direction.LOWER, "SyncNet: distance between lips and speech at the best offset."),
            _higher("lse_c", "SyncNet: how much better the best offset is than the others."),
        ),
        Needs(
            frames=True,
            audio=True,
            weights=(
                WeightsFile("syncnet_v2.model", "joonson/syncnet_python", "none stated"),
                WeightsFile("sfd_face.pth", "joonson/syncnet_python", "none stated"),
            ),
        ),
    ),
)
"""In the order of the paper's table of filters; lip sync comes last."""
