"""Distances from a reference: which clips belong together, of how many, with which interval, and why not."""

from dataclasses import replace

import numpy as np
import pytest

from evaluated_clips import made_up, plan_of
from mova.evaluate.measure.plan import MeasurePlan
from mova.evaluate.results.distances import MOST_DRAWN, ReferenceVectors, reference_rows
from mova.evaluate.results.rows import Aggregation
from mova.scorers.base import Findings
from mova.scorers.registry import ScorerSettings
from mova.scorers.sets.distance import frechet_distance, paired_kl, pooled_kl

PLAN = MeasurePlan(("cnn14",), ScorerSettings())
RNG = np.random.default_rng(0)
OURS = RNG.normal(size=(6, 3)).astype(np.float32)
THEIRS = RNG.normal(1.0, 1.0, size=(8, 3)).astype(np.float32)


def measured_of(vectors, values=None, categories=None):
    """Return clips c0, c1 ... whose embedding and logits are the same vectors."""
    found = []
    for one, vector in zip(made_up(PLAN, values or [0.5] * len(vectors), categories), vectors, strict=True):
        own = one.findings["cnn14"]
        known = {"cnn14": vector, "cnn14_logits": vector} if own.scores["cnn14_confidence"].value is not None else {}
        found.append(replace(one, findings={"cnn14": replace(own, embeddings=known)}))
    return found


def reference_of(vectors, prefix="r"):
    own = {f"{prefix}{index}": vector for index, vector in enumerate(vectors)}
    return ReferenceVectors(len(vectors), {"cnn14": own, "cnn14_logits": own}, {})


def rows(measured, reference, plan=PLAN):
    return {row.name: row for row in reference_rows(measured, plan, reference)}


def test_without_names_in_common_sets_are_compared_with_what_is_said_of_it():
    found = rows(measured_of(OURS), reference_of(THEIRS))
    assert found["fd_panns"].estimate.value == pytest.approx(frechet_distance(OURS, THEIRS).value)
    assert found["kl_panns"].estimate.value == pytest.approx(pooled_kl(OURS, THEIRS).value)
    assert all(row.aggregation is Aggregation.REFERENCE for row in found.values())
    assert all(row.estimate.num_clips == row.num_total == 6 for row in found.values())
    assert all(0 <= row.estimate.low <= row.estimate.value <= row.estimate.high for row in found.values())
    assert found["kl_panns"].remark == (
        "8 of 8 clips of the reference; pooled: no clip has the name of one of the reference"
    )
    assert set(found) == {"fd_panns", "kl_panns"}


def test_clips_are_paired_by_their_names_and_others_are_counted():
    found = rows(measured_of(OURS, categories=["a"] * 4 + ["b"] * 2), reference_of(THEIRS[:5], "c"))["kl_panns"]
    assert found.estimate.value == pytest.approx(paired_kl(OURS[:5], THEIRS[:5]).value)
    assert (found.estimate.num_clips, found.num_total, found.aggregation) == (5, 6, Aggregation.PAIRED)
    assert found.reasons == {"no clip of this name in the reference": 1}
    assert found.estimate.low < found.estimate.value < found.estimate.high
    assert found.by_category["b"].value == pytest.approx(paired_kl(OURS[4:5], THEIRS[4:5]).value)
    assert "each clip with the one of its name" in found.remark


def test_few_clips_for_the_dimension_are_told_and_one_alone_has_a_reason():
    wide, other = (RNG.normal(size=(4, 9)).astype(np.float32) for _ in range(2))
    assert "4 clips in 9 dimensions: too large" in rows(measured_of(wide), reference_of(other))["fd_panns"].remark
    alone = rows(measured_of(wide[:1]), reference_of(other))["fd_panns"]
    assert alone.estimate.value is None
    assert alone.reasons == {"two clips or more are needed, got 1": 1}


def test_of_many_clips_there_is_a_distance_and_no_interval():
    many = RNG.normal(size=(MOST_DRAWN + 1, 3)).astype(np.float32)
    found = rows(measured_of(many), reference_of(THEIRS))["fd_panns"]
    assert found.estimate.value is not None
    assert found.estimate.low is None
    assert f"no interval for more than {MOST_DRAWN} clips" in found.remark


def test_clips_and_references_without_embeddings_are_reasons():
    some = rows(measured_of(OURS, [0.5, None, 0.5, 0.5, 0.5, 0.5]), reference_of(THEIRS))["fd_panns"]
    assert (some.estimate.num_clips, some.reasons) == (5, {"failed: made up": 1})
    assert some.estimate.value == pytest.approx(frechet_distance(np.delete(OURS, 1, 0), THEIRS).value)
    empty = rows(measured_of(OURS), ReferenceVectors(2, {"cnn14": {}}, {}))["fd_panns"]
    assert (empty.estimate.value, empty.reasons) == (None, {"no clip of the reference has an embedding": 6})
    other = ReferenceVectors(2, {}, {"cnn14": "the reference was not measured with cnn14"})
    assert rows(measured_of(OURS), other)["kl_panns"].reasons == {"the reference was not measured with cnn14": 6}


def test_yamnet_is_marked_as_another_network_and_missing_weights_are_the_reason():
    plan = plan_of("levels", "audio_tags")
    measured = [
        replace(one, findings={**one.findings, "audio_tags": Findings(one.findings["audio_tags"].scores)})
        for one in made_up(plan, [None])
    ]
    found = rows(measured, ReferenceVectors(1, {}, {}), plan)
    assert set(found) == {"fd_yamnet", "kl_yamnet"}
    assert all("not comparable with figures of PANNs" in row.meaning for row in found.values())
    assert found["fd_yamnet"].reasons == {"failed: made up": 1}
