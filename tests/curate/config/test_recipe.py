"""A recipe of curation is strict, and the shipped ones are good."""

import pytest

from mova.curate.config.recipe import load_curation
from mova.errors import ConfigError
from mova.recipe.locate import list_recipes


@pytest.mark.parametrize("name", [one.name for one in list_recipes("curate")])
def test_shipped_recipes_are_read(name):
    config = load_curation(name, ("source.folder=in", "output.folder=out"))
    assert config.source.folder == "in"
    assert config.caption.captioner == "offline"


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("source: {folder: in}\noutput: {folder: out}\n")
    return path


def test_sections_that_are_left_out_are_the_papers(recipe):
    config = load_curation(recipe)
    assert (config.cut.num_frames, config.cut.frame_rate, config.verdicts.preset) == (193, 24.0, "paper")
    assert config.export is None


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("cut.numframes=49", "cut.numframes: unknown key; did you mean num_frames?"),
        ("cuts.num_frames=49", "cuts: unknown key; did you mean cut?"),
        ("cut.num_frames=50", "nearest are 49 and 53"),
        ("verdicts.gates=[{score: blur, maximum: 1}]", "verdicts.gates.0.maximum: unknown key; did you mean max?"),
        ("execution.attempts=0", "execution.attempts: .*; nearest is 1"),
        ("score.scorers=[levls]", "levels"),
    ],
)
def test_faults_name_the_place_and_what_is_near(recipe, override, text):
    with pytest.raises(ConfigError, match=text):
        load_curation(recipe, (override,))


def test_a_recipe_without_footage_is_refused(tmp_path):
    (tmp_path / "mine.yaml").write_text("output: {folder: out}")
    with pytest.raises(ConfigError, match="source: this key is needed"):
        load_curation(tmp_path / "mine.yaml")
