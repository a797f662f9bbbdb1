"""A run of a recipe is checked before it begins: its packages, its gates and the keys of its endpoints."""

import sys

import pytest

from mova.curate import build
from mova.curate.build import check_stages, make_run
from mova.curate.config.recipe import CurateConfig
from mova.errors import CheckpointError, ConfigError, MissingExtraError


def config(tmp_path, **sections):
    return CurateConfig.model_validate({"source": {"folder": "in"}, "output": {"folder": str(tmp_path)}} | sections)


def test_a_run_has_the_stages_of_the_recipe(tmp_path):
    run = make_run(config(tmp_path, cut={"num_frames": 49, "frame_rate": 12.0}, execution={"retry_failed": True}))
    assert [stage.name for stage in (run.cut, run.score, run.caption)] == ["cut", "score", "caption"]
    assert (run.frame_rate, run.retry_failed, run.root) == (12.0, True, tmp_path)
    assert run.recipe["cut"]["num_frames"] == 49


def test_copies_that_a_killed_run_left_are_removed_when_the_next_begins(tmp_path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "unit.mp4").write_bytes(b"half")
    make_run(config(tmp_path)).begin()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_gate_on_no_measure_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no scorer measures 'loudnes_lufs'; did you mean loudness_lufs"):
        make_run(config(tmp_path, verdicts={"gates": [{"score": "loudnes_lufs", "min": -30}]}))


def test_an_export_to_the_name_of_a_file_is_refused_before_the_run_begins(tmp_path):
    (tmp_path / "file").write_text("mine")
    for name in ("file", "file/below"):
        wrong = config(tmp_path, export={"folder": str(tmp_path / name)})
        with pytest.raises(ConfigError, match=r"export.folder must be a folder"):
            check_stages(wrong, make_run(wrong))
    right = config(tmp_path, export={"folder": str(tmp_path / "new" / "export")})
    check_stages(right, make_run(right))


def test_what_encodes_an_export_is_looked_for_before_the_run_begins(tmp_path):
    for section, error, text in (
        ({"model": "mova-tyni"}, CheckpointError, "mova-tiny"),
        ({"model": "mova-tiny", "device": "gpu"}, ConfigError, "gpu"),
    ):
        wrong = config(tmp_path, export={"latents": section})
        with pytest.raises(error, match=text):
            check_stages(wrong, make_run(wrong))


def test_a_missing_package_is_named_before_the_run_begins(tmp_path, monkeypatch):
    plain = config(tmp_path)
    monkeypatch.setattr(build, "find_spec", lambda name: None if name == "scenedetect" else object())
    with pytest.raises(MissingExtraError, match=r"scenedetect is needed for this; .*mova\[curate\]"):
        check_stages(plain, make_run(plain))


def test_a_missing_ray_is_named_before_the_run_begins(tmp_path, monkeypatch):
    spread = config(tmp_path, execution={"executor": "ray"})
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"ray is needed for this; .*mova\[ray\]"):
        check_stages(spread, make_run(spread))


def test_a_missing_key_is_named_before_the_run_begins(tmp_path, monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    endpoint = {"base_url": "http://127.0.0.1:9/v1", "api_key_env": "NO_SUCH_KEY"}
    roles = dict.fromkeys(("visual", "speech", "audio", "merge"), endpoint)
    asked = config(tmp_path, caption={"captioner": "endpoints", **roles})
    with pytest.raises(ConfigError, match="NO_SUCH_KEY"):
        check_stages(asked, make_run(asked))


def test_a_gate_that_no_scorer_of_the_recipe_serves_is_told_of(tmp_path, caplog):
    idle = config(
        tmp_path, score={"scorers": ["levels"]}, verdicts={"preset": "none", "gates": [{"score": "motion", "min": 1}]}
    )
    check_stages(idle, make_run(idle))
    assert "a gate is on motion, and no scorer of this recipe measures it" in caplog.text
