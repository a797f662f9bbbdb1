"""What there is one of in the package: a reader of weight files, a finder of models, a list of the parts of a model."""

import ast
from pathlib import Path

import mova
from mova import names
from mova.train.config.joint import AdaptersConfig, StartConfig

SOURCES = Path(mova.__file__).parent
FILES = sorted(SOURCES.rglob("*.py"))
PARTS = {*names.NETWORKS, *names.EXPERTS}
# Where two or more parts are listed by their names all the same: tables of what was published, which no name of ours
# changes, and sizes of each part.
LISTS = {
    "names.py": "the one list",
    "models/presets.py": "sizes of each part, as published",
    "weights/agreement.py": "which published keys of two parts must agree",
    "plan/published.py": "numbers of published parameters",
}


def users(word):
    """Return the files of the package in which a word stands."""
    return {path.relative_to(SOURCES).as_posix() for path in FILES if word in path.read_text(encoding="utf-8")}


def listed_parts(source):
    """Return the names of parts in each tuple, list, set or dict of a source, where there are two or more."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            members = node.elts
        elif isinstance(node, ast.Dict):
            members = [member for member in (*node.keys, *node.values) if member is not None]
        else:
            continue
        named = [member.value for member in members if isinstance(member, ast.Constant) and member.value in PARTS]
        if len(set(named)) > 1:
            found.append(named)
    return found


def test_safetensors_files_are_opened_in_one_place():
    assert users("safe_open") == {"weights/files.py"}


def test_models_that_come_with_the_package_are_looked_up_in_one_place():
    found = users("SHIPPED_MODELS /") | users("SHIPPED_MODELS.")
    assert found == {"weights/locate.py", "recipe/locate.py"}


def test_events_of_the_toy_world_are_matched_and_counted_in_one_place():
    assert users("match_events") == {"toyworld/score.py"}
    assert users("count_events(") == {"toyworld/score.py", "evaluate/toyworld.py", "train/validation.py"}


def test_parts_of_a_model_are_listed_in_one_place():
    found = {
        path.relative_to(SOURCES).as_posix(): lists
        for path in FILES
        if (lists := listed_parts(path.read_text(encoding="utf-8")))
    }
    assert {file: lists for file, lists in found.items() if file not in LISTS} == {}
    assert sorted(set(LISTS) - set(found)) == [], "listed here, and no longer there"


def test_the_scan_finds_lists_of_every_kind():
    assert listed_parts('a = ("video_dit", "audio_dit")') == [["video_dit", "audio_dit"]]
    assert listed_parts('{"high_noise": 1, "low_noise": 2}') == [["high_noise", "low_noise"]]
    assert listed_parts('["video_vae"]; ("video_dit", "dim")') == []


def test_sections_of_a_recipe_have_a_key_for_every_part_that_denoises():
    assert [name for name in StartConfig.model_fields if name in PARTS] == list(names.COMPONENTS)
    assert [name for name in AdaptersConfig.model_fields if name in PARTS] == list(names.COMPONENTS)
