"""A gate is about one thing, and the paper's Table 9 is a preset."""

import pytest
from pydantic import ValidationError

from mova.curate.config.verdicts import Gate, VerdictsSection


def test_table_9_of_the_paper_is_the_usual_preset():
    gates = VerdictsSection().all_gates
    bounds = {gate.score: (gate.above, gate.below) for gate in gates if gate.score}
    assert bounds == {
        "silence_share": (None, 0.8),
        "bandwidth_hz": (1000.0, None),
        "audiobox_pq": (5.0, None),
        "audiobox_cu": (4.5, None),
        "audiobox_ce": (2.5, None),
        "dover_aesthetic": (0.85, None),
        "dover_technical": (0.05, None),
    }
    (choice,) = [gate for gate in gates if gate.any]
    assert [(part.score, part.min, part.max) for part in choice.any] == [
        ("imagebind", 0.2, None),
        ("desync", None, 0.5),
    ]


def test_gates_of_a_recipe_come_after_those_of_its_preset():
    own = Gate(tags=("speech",))
    assert VerdictsSection(preset="none", gates=(own,)).all_gates == (own,)
    assert VerdictsSection(preset="quantiles", gates=(own,)).all_gates[-1] == own


@pytest.mark.parametrize(
    ("gate", "text"),
    [
        ({}, "exactly one of score, tags, text, near_duplicates, any, got none of them"),
        ({"score": "blur", "tags": ["a"], "max": 1}, "got score and tags"),
        ({"score": "blur"}, "must have one of above, below, min, max, min_quantile, max_quantile, got none"),
        ({"tags": ["a"], "max": 1}, "only a gate on a score has bounds, got max with tags"),
        ({"text": "none", "rule": "all"}, "only a gate on tags has a rule"),
        ({"any": [{"near_duplicates": 1}, {"text": "any"}]}, "near_duplicates must be a gate by itself"),
        ({"near_duplicates": 17}, "less than or equal to 16"),
        ({"near_duplicates": {"yamnet": 0.5}}, "greater than or equal to 0.8"),
        ({"near_duplicates": {}}, "at least 1 item"),
        ({"score": "blur", "max_quantile": 1.5}, "less than or equal to 1"),
        ({"score": "blur", "maximum": 1.5}, "Extra inputs are not permitted"),
        ({"score": "blur", "max": float("nan")}, "finite"),
        ({"score": "blur", "min": 5, "max": 1}, "bounds that a score can meet, and none can meet min 5, max 1"),
        ({"score": "blur", "min": 1, "below": 1}, "none can meet below 1, min 1"),
        ({"score": "blur", "above": 1, "max": 0.5}, "none can meet above 1, max 0.5"),
        ({"score": "blur", "min_quantile": 0.9, "max_quantile": 0.1}, "none can meet min_quantile 0.9, max_quan"),
    ],
)
def test_a_gate_that_says_nothing_clear_is_refused(gate, text):
    with pytest.raises(ValidationError, match=text):
        Gate(**gate)
