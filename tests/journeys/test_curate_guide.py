"""The guide to curation tells all that a recipe, a verdict and a row can say."""

import re
from pathlib import Path

import pytest

from mova.curate.config.recipe import CurateConfig
from mova.curate.config.verdicts import Gate, VerdictsSection
from mova.curate.decide.verdicts import NEAR_DUPLICATES

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guides" / "curate.md").read_text()
# What a row of a source or a clip says begins with its name, in the texts of these folders.
SAYING = [ROOT / "src" / "mova" / "curate", ROOT / "src" / "mova" / "media" / "transcode"]


def named_in(column):
    """Names between backticks in the first column of a table of the guide."""
    table = GUIDE.split(f"| {column} |")[1].split("\n\n")[0]
    return {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}


def test_the_guide_names_every_section_of_a_recipe():
    assert named_in("section") == set(CurateConfig.model_fields)


def test_the_guide_names_every_preset_and_every_recipe_of_the_package():
    presets = VerdictsSection.model_fields["preset"].annotation.__args__
    recipes = [path.stem for path in (ROOT / "src" / "mova" / "assets" / "recipes" / "curate").glob("*.yaml")]
    assert [name for name in (*presets, *recipes) if f"`{name}`" not in GUIDE] == []


def test_the_guide_shows_gates_that_are_read_as_they_stand():
    yaml = pytest.importorskip("yaml")
    shown = re.search(r"```\n(verdicts:.*?)```", GUIDE, re.DOTALL)[1]
    section = VerdictsSection.model_validate(yaml.safe_load(shown)["verdicts"])
    assert len(section.gates) == 7
    assert all(isinstance(gate, Gate) for gate in section.gates)


def test_the_guide_names_every_reason_that_a_source_or_a_clip_is_given():
    said = {NEAR_DUPLICATES}
    for folder in SAYING:
        for path in folder.rglob("*.py"):
            said |= set(re.findall(r'"([a-z]+_[a-z_]+): ', path.read_text()))
    assert {"corrupt_media", "no_audio", "too_short", "no_windows", "not_measured"} <= said
    assert {name for name in said if f"`{name}`" not in GUIDE} == set()
