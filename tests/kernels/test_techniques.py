"""Every pair of techniques: it gives what the plain forward gives, or it is refused with a reason."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from mova.errors import ConfigError
from mova.kernels.techniques import (
    SEVERAL_PROCESSES,
    Technique,
    check_not_late,
    check_together,
    gives_way,
    refusal,
)
from processes import run_processes
from technique_kit import Kit, allowed, expected, far, pairs_job

T = Technique
PAIRS = list(combinations(Technique, 2))
WITH_PROCESSES = (T.CONTEXT_PARALLEL, T.BRANCH_PARALLEL)
HERE = [pair for pair in PAIRS if allowed(*pair) and not set(pair) & set(WITH_PROCESSES)]
ELSEWHERE = [pair for pair in PAIRS if allowed(*pair) and set(pair) & set(WITH_PROCESSES)]
# With gradients: those that only calls without gradients have, and those that a frozen base cannot pass gradients by.
WITHOUT_GRADIENTS = (T.FOLDED, T.STEP_CACHE, T.SIDE_STREAM, T.TEXT_CACHE)
RECOMPUTED = (T.CHECKPOINTING, T.ACTIVATION_OFFLOAD)
TRAINED = [
    pair
    for pair in HERE
    if set(pair) & set(RECOMPUTED) and not set(pair) & set(WITHOUT_GRADIENTS) and not refusal(*pair, training=True)
]


# Hooks inside of what is compiled: every layer is traced by itself.
SLOW = [(T.CASTING, T.COMPILED)]
TESTED_HERE = [pytest.param(pair, marks=pytest.mark.slow if pair in SLOW else ()) for pair in HERE]


def named(pair):
    return "-".join(one.name.lower() for one in pair)


@pytest.mark.filterwarnings("ignore:FSDP2-wrapped module")
@pytest.mark.parametrize("pair", TESTED_HERE, ids=named)
def test_an_allowed_pair_gives_what_the_plain_forward_gives(pair):
    with Kit() as kit:
        kit.apply(pair)
        made = kit.steps()
    assert far(made, expected(pair, Kit.steps)) < 1e-5


@pytest.mark.filterwarnings("ignore:FSDP2-wrapped module")
@pytest.mark.parametrize("pair", TRAINED, ids=named)
def test_an_allowed_pair_gives_the_gradients_of_the_plain_forward(pair):
    with Kit() as kit:
        kit.apply(pair)
        made = kit.gradients()
    assert far(made, expected(pair, Kit.gradients)) < 1e-5


@pytest.mark.slow
def test_an_allowed_pair_on_two_processes_gives_what_one_process_gives(tmp_path):
    for found in run_processes(pairs_job, 2, tmp_path):
        assert {name for name, distance in found.items() if distance >= 1e-5} == set()
        both = {
            " ".join(one.name for one in sorted(pair, key=lambda one: one not in WITH_PROCESSES)) for pair in ELSEWHERE
        }
        assert set(found) >= both - {"CONTEXT_PARALLEL BRANCH_PARALLEL"}


def test_every_pair_is_tested_or_refused_or_one_of_them_steps_back():
    for pair in PAIRS:
        kinds = [pair in HERE or pair in ELSEWHERE, refusal(*pair) is not None, gives_way(*pair) is not None]
        assert sum(kinds) == 1, pair
        assert refusal(*pair) == refusal(*reversed(pair))


@pytest.mark.parametrize("training", [False, True])
def test_a_refused_pair_is_explained(training):
    refused = [pair for pair in PAIRS if refusal(*pair, training=training)]
    assert len(refused) >= 15
    for pair in refused:
        with pytest.raises(ConfigError, match=r"; ") as raised:
            check_together({pair[1]: "<second>", pair[0]: "<first>"}, training=training)
        assert "<first>" in str(raised.value) or "<second>" in str(raised.value) or training, pair
    for pair in set(PAIRS) - set(refused):
        check_together(dict.fromkeys(pair, "given"), training=training)
    assert set(refused) >= {(T.STREAMING, several) for several in SEVERAL_PROCESSES}


def test_the_page_has_the_order_and_the_pairs():
    page = (Path(__file__).parents[2] / "docs" / "decisions" / "0001-hooks-and-the-joint-forward.md").read_text()
    techniques = list(Technique)

    def cell(pair):
        if refusal(*pair) or gives_way(*pair):
            return "no" if refusal(*pair) else "way"
        return "gen" if refusal(*pair, training=True) else "yes"

    for number, technique in enumerate(techniques, 1):
        assert f"| {number} | {technique}" in page
        later = [cell((technique, other)) for other in techniques[number:]]
        row = [f"| {number} {technique}", *[""] * (number - 1), *later]
        assert not later or " | ".join(row) + " |" in page


def test_what_must_come_first_is_refused_afterwards():
    check_not_late(T.LORA, {})
    check_not_late(T.QUANTISED, {T.LORA: "a.safetensors"})
    with pytest.raises(ConfigError, match=r"LoRAs are merged before weights are quantised, got .* int8; load it again"):
        check_not_late(T.LORA, {T.QUANTISED: "int8"})
