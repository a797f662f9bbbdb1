"""Inception Score of a set of clips out of the logits of a classifier: how sure it is of each, and how unlike they are.

Salimans et al., "Improved Techniques for Training GANs", 2016; over sounds with the logits of Cnn14.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mova.scorers.sets.score import SetScore, as_rows, finite_rows

NUM_SPLITS: Final = 10
LEAST_PER_SPLIT: Final = 10
_EPS: Final = 1e-10
_CLIP: Final = 1e-8
_SEED: Final = 0


def inception_score(
    logits: np.ndarray, *, splits: int | None = None, shuffled: bool = True, as_published: bool = False
) -> SetScore:
    """Return the Inception Score of a set of clips.

    It grows with the number of clips and falls with that of splits: values compare only where both are the same, which
    the remark says.

    Args:
        logits: (N, classes) before the sigmoid, a row a clip. Rows that are not finite are left out.
        splits: parts of the set, whose scores are averaged; None takes ten, or fewer so that each has ten clips.
        shuffled: whether clips are dealt to the splits at random, always in the same way.
        as_published: in float32, and probabilities of 1 are not clipped, since 1 - 1e-8 is 1 there; a clip that the
            classifier is that sure of then spoils the score of the whole set, which is a reason and no value.
    """
    rows = as_rows(logits, "logits")
    total = len(rows)
    rows = finite_rows(rows) if len(rows) else rows
    if len(rows) < 2:
        return SetScore(None, f"two clips or more are needed, got {len(rows)}", len(rows), total)
    chosen = splits or max(1, min(NUM_SPLITS, len(rows) // LEAST_PER_SPLIT))
    if len(rows) < 2 * chosen:
        return SetScore(None, f"{chosen} splits need {2 * chosen} clips or more, got {len(rows)}", len(rows), total)
    shares = class_shares(sigmoid(rows), as_published=as_published)
    if shuffled and chosen > 1:
        shares = shares[np.random.default_rng(_SEED).permutation(len(shares))]
    value = float(np.mean([_score(part) for part in np.array_split(shares, chosen)]))
    if not np.isfinite(value):
        return SetScore(None, "a clip's probability is 1 in float32, of which the logit is infinite", 0, total)
    return SetScore(value, scored=len(rows), total=total, remark=f"{len(rows)} clips in {chosen} {_word(chosen)}")


def class_shares(probabilities: np.ndarray, *, as_published: bool = False) -> np.ndarray:
    """Return the softmax over classes of the logits of probabilities: (N, classes), rows that sum to 1.

    Args:
        probabilities: (N, classes) in [0, 1], each for itself; clipped to 1e-8 from both ends.
        as_published: in float32, where the upper clip does nothing and a probability of 1 gives NaN.
    """
    kind = np.float32 if as_published else np.float64
    clipped = np.clip(probabilities.astype(kind), kind(_CLIP), kind(1 - _CLIP))
    with np.errstate(divide="ignore", invalid="ignore"):
        logits = np.log(clipped) - np.log1p(-clipped)
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Return probabilities of logits, without an overflow for large ones."""
    small = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1.0, small) / (1.0 + small))


def _score(shares: np.ndarray) -> float:
    shares = shares / shares.sum(axis=1, keepdims=True)
    mean = shares.mean(axis=0, keepdims=True)
    divergence = (shares * (np.log(shares + _EPS) - np.log(mean + _EPS))).sum(axis=1)
    return float(np.exp(divergence.mean()))


def _word(splits: int) -> str:
    return "split" if splits == 1 else "splits"
