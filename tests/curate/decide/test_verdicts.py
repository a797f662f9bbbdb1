"""Verdicts of many clips at once are those that a reading of the rules one clip at a time gives."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mova.curate.config.verdicts import Gate
from mova.curate.decide.verdicts import Absent, Evidence, Outcome, Verdict, check_gates, decide, names_of, tags_of
from mova.errors import ConfigError

NAMES = ("a", "b", "c")
TAGS = ("speech", "music")


def evidence_of(clips):
    """Evidence of clips, each (is open, {name: value or Absent}, tags, hash or None)."""
    count = len(clips)
    scores = {name: np.full(count, np.nan) for name in NAMES}
    absences = {name: np.zeros(count, np.uint8) for name in NAMES}
    hashes, has = np.zeros((count, 1), np.uint64), np.zeros(count, bool)
    for row, (_, values, _, image) in enumerate(clips):
        for name, value in values.items():
            if isinstance(value, Absent):
                absences[name][row] = value
            else:
                scores[name][row] = value
        if image is not None:
            hashes[row, 0], has[row] = image, True
    tags = {tag: np.array([tag in clip[2] for clip in clips], bool) for tag in TAGS}
    is_open = np.array([clip[0] for clip in clips], bool)
    return Evidence(is_open, scores, absences, tags, {"image_hash": hashes}, {"image_hash": has})


def slow(gates, clips):
    """The same rules, one clip after the other, in plain Python."""
    limits = {id(gate): threshold(gate, clips) for gate in every(gates)}
    said, kept = [], []
    for is_open, values, tags, image in clips:
        if not is_open:
            said.append("earlier")
            continue
        outcomes = [one(gate, values, tags, limits) for gate in gates if gate.near_duplicates is None]
        if "not met" not in outcomes and "not measured" not in outcomes and image is not None:
            for gate in gates:
                if gate.near_duplicates is not None:
                    near = any((image ^ other).bit_count() <= gate.near_duplicates for other in kept)
                    outcomes.append("not met" if near else "met")
            if "not met" not in outcomes:
                kept.append(image)
        said.append("rejected" if "not met" in outcomes else "failed" if "not measured" in outcomes else "kept")
    return said


def every(gates):
    for gate in gates:
        yield gate
        yield from gate.any or ()


def threshold(gate, clips):
    values = sorted(clip[1][gate.score] for clip in clips if clip[0] and isinstance(clip[1].get(gate.score), float))
    share = gate.min_quantile if gate.min_quantile is not None else gate.max_quantile
    return values[math.floor((len(values) - 1) * share)] if values and share is not None else 0.0


def one(gate, values, tags, limits):
    if gate.any:
        parts = [one(part, values, tags, limits) for part in gate.any]
        order = ("met", "not measured", "not applied", "not met", "not applicable")
        return next(outcome for outcome in order if outcome in parts)
    if gate.tags:
        there = [tag in tags for tag in gate.tags]
        return "met" if {"any": any(there), "all": all(there), "none": not any(there)}[gate.rule] else "not met"
    value = values[gate.score]
    if isinstance(value, Absent):
        return {1: "not applied", 2: "not applicable", 3: "not measured"}[int(value)]
    checks = [
        gate.above is None or value > gate.above,
        gate.below is None or value < gate.below,
        gate.min is None or value >= gate.min,
        gate.max is None or value <= gate.max,
        gate.min_quantile is None or value >= limits[id(gate)],
        gate.max_quantile is None or value <= limits[id(gate)],
    ]
    return "met" if all(checks) else "not met"


numbers = st.sampled_from([-1.0, -0.5, 0.0, 0.25, 0.5, 0.75, 1.0])
absent = st.sampled_from([Absent.SKIPPED, Absent.NOT_APPLICABLE, Absent.FAILED])
clip_rows = st.tuples(
    st.sampled_from([True, True, True, False]),
    st.fixed_dictionaries(dict.fromkeys(NAMES, numbers | numbers | absent)),
    st.sets(st.sampled_from(TAGS)),
    st.none() | st.integers(0, 255),
)
simple = st.one_of(
    st.builds(Gate, score=st.sampled_from(NAMES), above=numbers),
    st.builds(
        lambda name, bounds: Gate(score=name, min=min(bounds), below=max(bounds)),
        st.sampled_from(NAMES),
        st.lists(numbers, min_size=2, max_size=2, unique=True),
    ),
    st.builds(Gate, score=st.sampled_from(NAMES), max=numbers),
    st.builds(Gate, score=st.sampled_from(NAMES), min_quantile=st.sampled_from([0.0, 0.1, 0.5, 1.0])),
    st.builds(Gate, score=st.sampled_from(NAMES), max_quantile=st.sampled_from([0.0, 0.3, 0.9, 1.0])),
    st.builds(
        Gate,
        tags=st.lists(st.sampled_from(TAGS), min_size=1, max_size=2).map(tuple),
        rule=st.sampled_from(["any", "all", "none"]),
    ),
)
gates = st.lists(simple | st.builds(Gate, any=st.lists(simple, min_size=2, max_size=3).map(tuple)), max_size=4)


@settings(max_examples=150, deadline=None)
@given(gates, st.lists(clip_rows, max_size=12), st.none() | st.integers(0, 3))
def test_many_at_once_are_decided_as_one_by_one(gates, clips, bits):
    gates = [*gates, *([] if bits is None else [Gate(near_duplicates=bits)])]
    decided = decide(gates, evidence_of(clips))
    assert [Verdict(code).name.lower() for code in decided.verdicts] == slow(gates, clips)


def test_a_verdict_depends_on_nothing_but_scores_and_gates():
    clips = [(True, {"a": 0.5, "b": Absent.SKIPPED, "c": Absent.NOT_APPLICABLE}, {"speech"}, 3)]
    gates = [Gate(score="a", above=0.1), Gate(score="b", above=0.9), Gate(score="c", above=0.9)]
    first, second = (decide(gates, evidence_of(clips)) for _ in range(2))
    assert first.verdicts.tolist() == second.verdicts.tolist() == [Verdict.KEPT]
    assert first.outcomes[:, 0].tolist() == [Outcome.MET, Outcome.NOT_APPLIED, Outcome.NOT_APPLICABLE]


def test_a_measure_that_nobody_took_is_not_applied():
    decided = decide([Gate(score="imagebind", min=0.2)], evidence_of([(True, dict.fromkeys(NAMES, 0.0), set(), None)]))
    assert decided.outcomes.tolist() == [[Outcome.NOT_APPLIED]]


def test_text_is_what_the_measure_of_its_area_says():
    areas = np.array([0.0, 0.03])
    evidence = Evidence(np.ones(2, bool), {"text_area": areas}, {"text_area": np.zeros(2, np.uint8)})
    assert decide([Gate(text="none")], evidence).verdicts.tolist() == [Verdict.KEPT, Verdict.REJECTED]
    assert decide([Gate(text="any")], evidence).verdicts.tolist() == [Verdict.REJECTED, Verdict.KEPT]


def test_a_clip_without_a_hash_of_its_audio_repeats_only_one_without():
    hashes = {"image_hash": np.zeros((3, 1), np.uint64), "audio_hash": np.zeros((3, 1), np.uint64)}
    has = {"image_hash": np.ones(3, bool), "audio_hash": np.array([True, False, False])}
    decided = decide([Gate(near_duplicates=16)], Evidence(np.ones(3, bool), hashes=hashes, has_hash=has))
    assert decided.repeats[0].rows.tolist() == [-1, -1, 1]


def unit(*degrees):
    turned = np.radians(degrees)
    return np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float16)


def test_a_clip_is_a_near_duplicate_that_is_near_in_every_embedding():
    heard, seen = unit(0, 5, 90, 5, 5), unit(0, 60, 0, 3, 62)
    absent = dict.fromkeys(("yamnet", "open_nsfw"), np.zeros(5, np.uint8))
    evidence = Evidence(np.ones(5, bool), embeddings={"yamnet": heard, "open_nsfw": seen}, no_embedding=absent)
    decided = decide([Gate(near_duplicates={"yamnet": 0.98, "open_nsfw": 0.95})], evidence)
    assert decided.repeats[0].rows.tolist() == [-1, -1, -1, 0, 1]
    assert decided.verdicts.tolist() == [Verdict.KEPT] * 3 + [Verdict.REJECTED] * 2
    assert decided.repeats[0].cosines["open_nsfw"][3] == pytest.approx(np.cos(np.radians(3)), abs=1e-3)
    assert decided.rulings[0].name == "near_duplicates_by_yamnet_open_nsfw"
    alone = decide([Gate(near_duplicates={"yamnet": 0.98})], evidence)
    assert alone.repeats[0].rows.tolist() == [-1, 0, -1, 0, 0]


def test_a_clip_without_an_embedding_is_compared_with_none_and_says_why():
    absent = np.array([0, Absent.SKIPPED, Absent.NOT_APPLICABLE, Absent.FAILED, 0], np.uint8)
    evidence = Evidence(np.ones(5, bool), embeddings={"yamnet": unit(0, 0, 0, 0, 1)}, no_embedding={"yamnet": absent})
    decided = decide([Gate(near_duplicates={"yamnet": 0.99})], evidence)
    assert decided.outcomes[0].tolist() == [
        Outcome.MET,
        Outcome.NOT_APPLIED,
        Outcome.NOT_APPLICABLE,
        Outcome.NOT_MEASURED,
        Outcome.NOT_MET,
    ]
    assert decided.verdicts[3] == Verdict.FAILED
    nowhere = decide([Gate(near_duplicates={"yamnet": 0.99, "ge2e": 0.9})], evidence)
    assert set(nowhere.outcomes[0]) == {Outcome.NOT_APPLIED}
    assert nowhere.repeats == {}


def test_each_gate_on_near_duplicates_looks_at_what_those_before_have_left():
    hashes, has = {"image_hash": np.array([[0], [0], [255]], np.uint64)}, {"image_hash": np.ones(3, bool)}
    vectors, absent = {"yamnet": unit(0, 40, 41)}, {"yamnet": np.zeros(3, np.uint8)}
    evidence = Evidence(np.ones(3, bool), hashes=hashes, has_hash=has, embeddings=vectors, no_embedding=absent)
    both = decide([Gate(near_duplicates={"yamnet": 0.99}), Gate(near_duplicates=0)], evidence)
    assert [both.repeats[place].rows.tolist() for place in (0, 1)] == [[-1, -1, 1], [-1, 0, -1]]
    swapped = decide([Gate(near_duplicates=0), Gate(near_duplicates={"yamnet": 0.99})], evidence)
    # The second clip has gone, so the third repeats nobody that is kept.
    assert [swapped.repeats[place].rows.tolist() for place in (0, 1)] == [[-1, 0, -1], [-1, -1, -1]]


def test_rules_are_said_in_words_with_their_thresholds():
    clips = [(True, {"a": value, "b": 0.0, "c": 0.0}, set(), None) for value in (0.0, 0.5, 1.0)]
    gates = [
        Gate(score="a", min_quantile=0.5),
        Gate(tags=("speech", "music"), rule="all"),
        Gate(any=(Gate(score="b", min=0.2), Gate(score="c", max=0.5))),
    ]
    assert [ruling.rule for ruling in decide(gates, evidence_of(clips)).rulings] == [
        "a >= 0.5 (quantile 0.5)",
        "tags all of speech, music",
        "b >= 0.2 or c <= 0.5",
    ]


def test_an_unknown_measure_names_the_nearest():
    gates = [Gate(any=(Gate(score="blur", max=1), Gate(score="silence_shar", max=1)))]
    with pytest.raises(ConfigError, match="no scorer measures 'silence_shar'; did you mean silence_share"):
        check_gates(gates, ("blur", "silence_share"))
    with pytest.raises(ConfigError, match="no scorer gives embeddings 'yamet'; did you mean yamnet"):
        check_gates([Gate(near_duplicates={"yamet": 0.9})], ("blur",), ("yamnet", "ge2e"))
    assert names_of([*gates, Gate(text="any")]) == ["blur", "silence_shar", "text_area"]
    assert tags_of([Gate(tags=("x", "y")), Gate(tags=("y",))]) == ["x", "y"]


def test_a_quantile_of_nothing_is_no_number():
    ruling = decide(
        [Gate(score="a", min_quantile=0.1)], evidence_of([(True, {"a": Absent.SKIPPED}, set(), None)])
    ).rulings[0]
    assert (ruling.thresholds, ruling.rule) == ({}, "a >= what no clip has a value for (quantile 0.1)")
