"""A recipe of any verb is read with its overrides, and its faults are told with what is near."""

import pytest
from pydantic import ValidationError

from mova.curate.config.verdicts import VerdictsSection
from mova.errors import ConfigError
from mova.recipe.load import Vocabulary, explain, fields_of, load_checked, read_recipe


def test_overrides_set_keys_of_sections(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("a: {b: 1}\n")
    assert read_recipe(path, "curate", ("a.b=2", "c.d=[x, y]"), "a key") == (
        path,
        {"a": {"b": 2}, "c": {"d": ["x", "y"]}},
    )


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("- a", (), "must hold a mapping with sections, got list"),
        ("1: a", (), "must have texts as keys, got 1"),
        ("a: 1", ("b",), "an override must read key=value, got 'b'"),
        ("a: 1", ("a.b=2",), "a is a value, not a section"),
        ("a: 1", ("b=[",), "is not YAML"),
    ],
)
def test_what_is_no_recipe_is_refused(tmp_path, text, overrides, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_recipe(path, "curate", overrides, "sections")


def test_a_missing_file_names_its_neighbour(tmp_path):
    (tmp_path / "mine.yaml").write_text("a: 1")
    with pytest.raises(ConfigError, match=r"there is no recipe at .*mime.yaml; did you mean .*mine.yaml\?"):
        read_recipe(tmp_path / "mime.yaml", "curate", (), "sections")


def test_faults_name_the_key_that_is_meant():
    with pytest.raises(ValidationError) as caught:
        VerdictsSection.model_validate({"presets": "paper", "preset": "papr"})
    vocabulary = Vocabulary(lambda _: sorted(fields_of(VerdictsSection)))
    assert explain(caught.value, vocabulary) == [
        "  preset: Input should be 'none', 'paper' or 'quantiles', got 'papr'; did you mean paper?",
        "  presets: unknown key; did you mean preset?",
    ]


def test_a_recipe_that_fits_becomes_a_model_and_another_one_names_its_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("preset: none")
    options = {
        "needs": "gates",
        "check": VerdictsSection.model_validate,
        "vocabulary": Vocabulary(lambda _: sorted(fields_of(VerdictsSection))),
    }
    assert load_checked(path, "curate", (), **options).preset == "none"
    with pytest.raises(ConfigError, match=r"mine.yaml does not fit:\n  presset: unknown key; did you mean preset\?"):
        load_checked(path, "curate", ("presset=paper",), **options)
