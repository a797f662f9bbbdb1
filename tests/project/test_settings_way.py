"""A sampling setting is written in the class of settings, in the command and in `__call__`, and nowhere else."""

import ast
import inspect
from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest

from mova.cli.generate import generate
from mova.errors import ConfigError
from mova.files.json_file import Fields, field_kinds
from mova.generate.many import KEYS, OPTION_NAMES
from mova.geometry import CodecGeometry
from mova.pipeline.inputs.arguments import plain_settings
from mova.pipeline.pipeline import MovaPipeline
from mova.settings.sampling import GivenSettings, SamplingSettings
from mova.weights.locate import ModelDefaults

PACKAGE = Path(__file__).parents[2] / "src" / "mova"
NAMES = [item.name for item in fields(GivenSettings)]
# What a speed preset decides is a choice, and stands beside the class.
BESIDE_THE_CLASS = PACKAGE / "settings" / "sampling.py"


@dataclass(frozen=True, kw_only=True)
class MoreGiven(GivenSettings):
    """One setting more, as a caller gives it."""

    churn: float | None = None


@dataclass(frozen=True, kw_only=True)
class MoreSettings(SamplingSettings):
    """One setting more, complete."""

    churn: float = 0.0


def test_what_can_be_given_is_what_a_clip_is_sampled_with():
    complete, given = get_type_hints(SamplingSettings), get_type_hints(GivenSettings)
    assert [name for name in complete if name not in ("codec", "geometry")] == NAMES
    assert {name: complete[name] | None for name in NAMES} == given


def test_a_call_takes_every_setting_by_its_name():
    assert set(NAMES) <= set(inspect.signature(MovaPipeline.__call__).parameters)


def test_a_list_of_prompts_takes_every_setting_and_what_the_command_calls_them():
    sizes = {"height", "width"}
    assert {OPTION_NAMES.get(name, name) for name in NAMES if name not in sizes} | {"size"} <= set(KEYS)
    options = set(inspect.signature(generate).parameters)
    assert set(OPTION_NAMES.values()) | {"size"} <= options
    assert not options & set(OPTION_NAMES), "one name for one thing"


def test_a_new_setting_is_read_recorded_and_completed_by_its_class_alone():
    asked = MoreGiven.read(Fields({"churn": 1, "steps": 4}, "line 1", ConfigError), OPTION_NAMES)
    assert (asked.churn, asked.num_inference_steps) == (1.0, 4)
    plain = plain_settings(MoreGiven(churn=np.float32(0.5), height=np.int64(64)))
    assert (type(plain.churn), type(plain.height)) == (float, int)
    complete = MoreSettings.for_model(ModelDefaults(width=96), CodecGeometry(), plain.over(asked))
    assert (complete.churn, complete.num_inference_steps, complete.height, complete.width) == (0.5, 4, 64, 96)
    again = MoreGiven.read(Fields(complete.record(), "metadata of a.mp4", ConfigError))
    assert MoreSettings.for_model(ModelDefaults(), CodecGeometry(), again) == complete
    with pytest.raises(ConfigError, match=r"metadata of a\.mp4: churn must be a finite number, got 'much'"):
        MoreGiven.read(Fields({"churn": "much"}, "metadata of a.mp4", ConfigError))
    with pytest.raises(ConfigError, match="churn must be a number"):
        plain_settings(MoreGiven(churn="much"))


def test_every_setting_is_of_a_kind_that_can_be_read():
    assert set(field_kinds(GivenSettings).values()) <= {int, float, str, tuple}


def test_no_other_file_lists_the_settings():
    """Seven names or more in one list, tuple or table are a list by hand; what a LoRA recommends has six."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.List | ast.Tuple | ast.Set | ast.Dict):
                words = {leaf.value for leaf in ast.walk(node) if isinstance(leaf, ast.Constant)}
                if len(words & set(NAMES)) >= 7 and path != BESIDE_THE_CLASS:
                    found.append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert found == []


def way_of_settings():
    folders = ("settings", "generate", "cli", "pipeline/inputs")
    files = [path for folder in folders for path in (PACKAGE / folder).rglob("*.py")]
    own = ("pipeline", "phases", "run_plan", "origin", "call_record", "output")
    return sorted([*files, *(PACKAGE / "pipeline" / f"{name}.py" for name in own)])


@pytest.mark.parametrize("path", way_of_settings(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_function_on_the_way_takes_whatever_it_is_given(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and node.args.kwarg is not None:
            hint = node.args.kwarg.annotation
            assert hint is not None, node.name
            assert "Any" not in ast.unparse(hint), node.name
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "locals", f"{path.name}:{node.lineno}"
