"""How far a set of clips is from a reference: Frechet distance of embeddings, KL divergence of classes."""

from __future__ import annotations

import numpy as np

from mova.scorers.sets.score import SetScore, as_rows, finite_rows


def frechet_distance(embeddings: np.ndarray, reference: np.ndarray) -> SetScore:
    """Return the Frechet distance of two sets, each taken as a normal distribution with its mean and covariance.

    |m1 - m2|^2 + tr(C1) + tr(C2) - 2 tr((C1 C2)^(1/2)) (Heusel et al., 2017). The last trace is the sum of the singular
    values of A B^T, where A and B are centred embeddings by the root of their number less one: no root of a matrix is
    taken, and sets smaller than their width need no other way.

    Args:
        embeddings: (N, D), a row a clip. Rows that are not finite are left out.
        reference: (M, D).

    Returns:
        0 or more; the remark says so where a set has no more clips than D, which makes the distance too large.

    Raises:
        ValueError: the widths differ, or a set is no table.
    """
    both = [as_rows(rows, name) for rows, name in ((embeddings, "embeddings"), (reference, "the reference"))]
    total = len(both[0])
    if all(len(rows) for rows in both) and both[0].shape[1] != both[1].shape[1]:
        raise ValueError(
            f"embeddings and the reference must have the same width, got {both[0].shape[1]} and {both[1].shape[1]}"
        )
    one, other = (finite_rows(rows) if len(rows) else rows for rows in both)
    for rows, name in ((one, "clips"), (other, "clips of the reference")):
        if len(rows) < 2:
            return SetScore(None, f"two {name} or more are needed, got {len(rows)}", len(one), total)
    means = [rows.mean(axis=0) for rows in (one, other)]
    factors = [_factor(rows - mean) for rows, mean in zip((one, other), means, strict=True)]
    cross = float(np.linalg.svd(factors[0] @ factors[1].T, compute_uv=False).sum())
    spread = sum(float(np.square(factor).sum()) for factor in factors)
    value = float(np.square(means[0] - means[1]).sum()) + spread - 2 * cross
    width, fewest = one.shape[1], min(len(one), len(other))
    remark = f"{fewest} clips in {width} dimensions: too large, compare only at this number" if fewest <= width else ""
    # What rounding leaves of the distance of a set from itself may be below zero.
    return SetScore(max(0.0, value), scored=len(one), total=total, remark=remark)


def _factor(centred: np.ndarray) -> np.ndarray:
    """Return F (K, D) with F^T F the covariance of centred rows (N, D); K is at most D."""
    scaled = centred / np.sqrt(len(centred) - 1)
    return scaled if len(scaled) <= scaled.shape[1] else np.asarray(np.linalg.qr(scaled, mode="r"))


def paired_kl(logits: np.ndarray, reference: np.ndarray) -> SetScore:
    """Return the mean KL divergence of each clip's classes from those of its own reference, in nats.

    KL(reference || clip) with a softmax over classes, as evaluations of generated sound take it.

    Args:
        logits: (N, classes). Pairs in which a number is not finite are left out.
        reference: (N, classes), of the recording that each clip stands beside.

    Raises:
        ValueError: the shapes differ.
    """
    found = pair_divergences(logits, reference)
    if not len(found):
        return SetScore(None, "there is no pair of a clip and its reference", 0, len(logits))
    return SetScore(float(found.mean()), scored=len(found), total=len(logits))


def pair_divergences(logits: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the divergence of `paired_kl` of each pair: (P,), of those in which all numbers are finite.

    Args:
        logits, reference: as in `paired_kl`.

    Raises:
        ValueError: the shapes differ.
    """
    one, other = as_rows(logits, "logits"), as_rows(reference, "the reference")
    if one.shape != other.shape:
        raise ValueError(f"each clip must have its own reference, got shapes {one.shape} and {other.shape}")
    if not len(one):
        return np.zeros(0)
    ours, theirs = (
        _log_softmax(half) for half in np.split(finite_rows(np.concatenate([one, other], axis=1)), 2, axis=1)
    )
    return _divergence(theirs, ours)


def pooled_kl(logits: np.ndarray, reference: np.ndarray) -> SetScore:
    """Return the KL divergence of the mean classes of a set from those of a reference, in nats, without pairs.

    Args:
        logits: (N, classes). Rows that are not finite are left out.
        reference: (M, classes).

    Raises:
        ValueError: the numbers of classes differ.
    """
    both = [as_rows(logits, "logits"), as_rows(reference, "the reference")]
    total = len(both[0])
    if all(len(rows) for rows in both) and both[0].shape[1] != both[1].shape[1]:
        raise ValueError(f"both must have the same classes, got {both[0].shape[1]} and {both[1].shape[1]}")
    one, other = (finite_rows(rows) if len(rows) else rows for rows in both)
    if not len(one) or not len(other):
        return SetScore(None, "there are no clips" if not len(one) else "there is no reference", len(one), total)
    ours, theirs = (np.log(np.exp(_log_softmax(rows)).mean(axis=0, keepdims=True) + 1e-300) for rows in (one, other))
    return SetScore(float(_divergence(theirs, ours).mean()), scored=len(one), total=total)


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    lowered = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(lowered - np.log(np.exp(lowered).sum(axis=1, keepdims=True)))


def _divergence(of: np.ndarray, against: np.ndarray) -> np.ndarray:
    """Return KL(of || against) of rows of logarithms of probabilities."""
    return np.asarray((np.exp(of) * (of - against)).sum(axis=1))
