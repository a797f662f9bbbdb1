"""All scorers with their state on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from mova.evaluate.benchmarks.paper import ELEVEN
from mova.evaluate.results.derived import derived_scorers
from mova.scorers import weights_folder
from mova.scorers.base import Measure
from mova.scorers.registry import SCORER_NAMES, ScorerSettings, make_scorers


@dataclass(frozen=True)
class ListedScorer:
    """A scorer, and whether it can work here.

    Attributes:
        name: of the scorer.
        state: "ready", or the kind of reason why it is skipped.
        measures: what it gives.
        missing: each file or package that is not here, with source, licence, checksum and place.
        paper: the metrics of the paper's eleven that it gives, with ours for each.
    """

    name: str
    state: str
    measures: tuple[Measure, ...]
    missing: tuple[str, ...]
    paper: Mapping[str, tuple[str, ...]]

    def to_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        return asdict(self)


def list_scorers(weights: str = "") -> tuple[ListedScorer, ...]:
    """Return all scorers in the order in which they are applied.

    Args:
        weights: folder of weights; "" takes the environment variable MOVA_SCORER_WEIGHTS.

    Raises:
        ConfigError: the folder does not exist.
    """
    folder = weights_folder.find_folder(weights)
    place = folder or f"the folder that {weights_folder.VARIABLE} names"
    listed = []
    for name in SCORER_NAMES:
        scorer = make_scorers([name], ScorerSettings(folder))
        why = scorer.skipped
        missing = []
        if why is not None:
            for file in scorer.weights:
                if folder is None or not (folder / file.name).is_file():
                    digest = f"SHA-256 {file.sha256}" if file.sha256 else "any file with the published names"
                    missing.append(f"{file.name} in {place}, from {file.source}; licence: {file.licence}; {digest}")
            missing = missing or [why[1]]
        state = "ready" if why is None else str(why[0])
        listed.append(ListedScorer(name, state, scorer.measures, tuple(missing), _of_paper(name, scorer.measures)))
    return tuple(listed)


def _of_paper(name: str, measures: Sequence[Measure]) -> Mapping[str, tuple[str, ...]]:
    own = {one.name for one in measures}
    own |= {metric for metric, scorer in derived_scorers().items() if scorer == name}
    return {metric: ours for metric, ours in ELEVEN.items() if own.issuperset(ours)}
