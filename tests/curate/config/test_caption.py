"""The section `caption` of a recipe."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from mova.curate.config.caption import CaptionSection
from mova.recipe.yaml_file import parse_yaml

ROLES = {role: {"base_url": "http://127.0.0.1:8000/v1"} for role in ("visual", "speech", "audio", "merge")}


def test_by_default_nothing_is_needed():
    assert CaptionSection().captioner == "offline"


def test_the_models_of_the_paper_are_the_defaults():
    section = CaptionSection(captioner="endpoints", **ROLES)
    names = [section.visual.model, section.speech.model, section.audio.model, section.merge.model]
    assert [name.partition("/")[2] for name in names] == [
        "MiMo-VL-7B-RL",
        "Qwen3-Omni-30B-A3B-Instruct",
        "Qwen3-Omni-30B-A3B-Captioner",
        "gpt-oss-120b",
    ]


def test_a_role_without_an_endpoint_is_named():
    with pytest.raises(ValidationError, match="audio, merge not given"):
        CaptionSection(captioner="endpoints", visual=ROLES["visual"], speech=ROLES["speech"])


@pytest.mark.parametrize(
    "values",
    [
        {"captioner": "gpt"},
        {"concurrency": 0},
        {"most_chars": 59},
        {"captioner": "endpoints", **ROLES, "most_chars": 100},
        {"budget": {"calls": -1}},
        {"visual": {"base_url": "ftp://x"}},
        {"x": 1},
    ],
)
def test_values_out_of_range_are_refused(values):
    with pytest.raises(ValidationError):
        CaptionSection(**values)


def test_the_recipe_of_the_guide_is_one():
    guide = (Path(__file__).parents[3] / "docs" / "guides" / "captions.md").read_text(encoding="utf-8")
    recipe = parse_yaml(guide.partition("```yaml\n")[2].partition("```")[0], "the guide")
    section = CaptionSection(**recipe["caption"])
    assert section.merge.api_key_env == "EXAMPLE_KEY"
    assert section.audio.request == ""
