"""Recipes: the shipped ones, and what is said about wrong ones."""

import pytest
import yaml

from mova.errors import ConfigError
from mova.toyworld import ALL_KINDS
from mova.train.config import LadderConfig, accepts, load_recipe

LADDER = [
    "tiny",
    "tiny_audio_autoencoder",
    "tiny_audio_tower",
    "tiny_joint",
    "tiny_latents",
    "tiny_publish",
    "tiny_text_encoder",
    "tiny_video_autoencoder",
    "tiny_video_autoencoder_long",
]
ALL_SCENES = [
    "tiny_all",
    "tiny_all_audio_autoencoder",
    "tiny_all_audio_tower",
    "tiny_all_phase1",
    "tiny_all_phase2",
    "tiny_all_phase3",
    "tiny_all_publish",
    "tiny_all_text_encoder",
    "tiny_all_video_autoencoder",
]
GROWN = [
    "tiny_grow",
    "tiny_grow_audio_autoencoder",
    "tiny_grow_audio_decoder",
    "tiny_grow_audio_tower",
    "tiny_grow_joint",
    "tiny_grow_joint_all",
    "tiny_grow_joint_end",
    "tiny_grow_joint_large_more",
    "tiny_grow_joint_last",
    "tiny_grow_joint_more",
    "tiny_grow_joint_skins",
    "tiny_grow_joint_small",
    "tiny_grow_joint_small_more",
    "tiny_grow_joint_turns",
    "tiny_grow_latents",
    "tiny_grow_publish",
    "tiny_grow_text_encoder",
    "tiny_grow_video_decoder",
    "tiny_grow_video_decoder_more",
    "tiny_grow_voice_decoder",
]
FULL_SIZE = ["audio_pretrain", "joint_phase1", "joint_phase2", "joint_phase3", "full_finetune"]
FULL_SIZE += ["full_finetune_publish", "lora", "lora_low_vram"]
ABLATIONS = ["ablation_bridge_first", "ablation_joint", "ablation_publish", "ablation_towers"]
DISTILLED = ["distill", "distill_4", "tiny_distill"]
NAMES = sorted([*LADDER, *ALL_SCENES, *GROWN, *FULL_SIZE, *ABLATIONS, *DISTILLED, "tiny_lora"])


def test_the_ladder_holds_every_recipe_that_begins_with_nothing_once(recipes):
    ladder = load_recipe(recipes / "tiny.yaml")
    assert isinstance(ladder, LadderConfig)
    assert sorted(ladder.recipes) == [f"{name}.yaml" for name in LADDER[1:]]
    assert sorted(path.stem for path in recipes.glob("*.yaml")) == NAMES


# Stages that leave out what the towers know best, and decoders, which are not to put together what is held out.
FEWER_KINDS = {"tiny_grow_joint_turns.yaml"}
ALL_COMBINATIONS = {"tiny_grow_audio_decoder.yaml", "tiny_grow_voice_decoder.yaml"}


@pytest.mark.parametrize("names", [ALL_SCENES, GROWN], ids=lambda names: names[0])
def test_a_ladder_over_all_scenes_gives_every_stage_the_same_captions(recipes, names):
    ladder = load_recipe(recipes / f"{names[0]}.yaml")
    assert sorted(ladder.recipes) == sorted(f"{name}.yaml" for name in names[1:])
    for name in ladder.recipes:
        data = getattr(load_recipe(recipes / name), "data", None)
        if data is None:
            continue
        assert data.ranked_captions
        assert (set(data.kinds) < set(ALL_KINDS)) == (name in FEWER_KINDS)
        assert data.combinations == ("all" if name in ALL_COMBINATIONS else "training")


def test_full_size_phases_hold_the_papers_values(recipes):
    """Table 7 of the paper."""
    phases = [load_recipe(recipes / f"joint_phase{number}.yaml") for number in (1, 2, 3)]
    assert [(one.video_shift, one.audio_shift) for one in phases] == [(5, 1), (5, 5), (5, 5)]
    assert [one.text_dropout for one in phases] == [0.5, 0.2, 0.2]
    assert [one.run.batch_size for one in phases] == [128, 128, 64]
    assert [one.run.checkpoint_every for one in phases] == [5000, 5000, 2000]
    assert [one.parallel.ulysses * one.parallel.ring for one in phases] == [8, 8, 16]
    assert [one.parallel.world_size for one in phases] == [1024] * 3
    assert {(one.audio_weight, one.bridge_lr_scale, one.optimizer.weight_decay) for one in phases} == {(0.2, 2, 0.001)}
    assert {(one.optimizer.lr, one.data.num_frames, one.independent_timesteps) for one in phases} == {(1e-5, 193, True)}
    assert [one.data.loudness_lufs is None for one in phases] == [True, False, False]
    assert ["1280x720" in one.data.sizes for one in phases] == [False, False, True]


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_recipe_fits_and_can_be_written_down_and_read_again(recipes, tmp_path, name):
    recipe = load_recipe(recipes / f"{name}.yaml")
    resolved = tmp_path / "recipe.json"
    resolved.write_text(recipe.model_dump_json())
    assert load_recipe(resolved) == recipe


def test_every_unknown_key_and_wrong_value_is_listed_with_the_nearest_name(recipes):
    wrong = ["run.max_stpes=3", "run.batch_size=0", "shfit=2", "optimizer.name=sgd", "data.qqqq=1"]
    with pytest.raises(ConfigError) as raised:
        load_recipe(recipes / "tiny_audio_tower.yaml", wrong)
    lines = str(raised.value).splitlines()
    assert len(lines) == 1 + len(wrong)
    assert "  run.max_stpes: unknown key; did you mean max_steps?" in lines
    assert "  shfit: unknown key; did you mean shift?" in lines
    assert any(line.startswith("  data.qqqq: unknown key; known: combinations, kinds, ") for line in lines)
    assert "  run.batch_size: Input should be greater than 0, got 0" in lines
    assert "  optimizer.name: Input should be 'adamw', 'adamw8bit' or 'muon', got 'sgd'" in lines


def test_a_missing_key_is_named(recipes, tmp_path):
    raw = yaml.safe_load((recipes / "tiny_audio_tower.yaml").read_text())
    del raw["run"]["batch_size"], raw["model"]
    (tmp_path / "short.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(ConfigError) as raised:
        load_recipe(tmp_path / "short.yaml")
    assert str(raised.value).splitlines()[1:] == [
        "  run.batch_size: this key is needed",
        "  model: this key is needed",
    ]


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("run.max_steps", "must read key=value, got 'run.max_steps'"),
        ("=3", "must read key=value"),
        ("run.max_steps.more=3", "max_steps is a value, not a section"),
        ("run.max_steps=[", "is not YAML"),
        ("run.max_steps=many", "run.max_steps: Input should be a valid integer"),
        ("stage=joind", "stage: must be one of audio_autoencoder, .*, got 'joind'"),
    ],
)
def test_wrong_overrides_say_what_would_be_right(recipes, override, text):
    with pytest.raises(ConfigError, match=text):
        load_recipe(recipes / "tiny_video_autoencoder.yaml", [override])


def test_overrides_reach_their_keys_with_their_types(recipes):
    recipe = load_recipe(
        recipes / "tiny_joint.yaml",
        ["optimizer.lr=1e-4", "run.max_minutes=null", "expert_cycle=[low_noise, high_noise]", "run.seed=7"],
    )
    assert recipe.optimizer.lr == 1e-4
    assert recipe.run.max_minutes is None
    assert recipe.expert_cycle == ("low_noise", "high_noise")
    assert recipe.run.seed == 7
    assert recipe.optimizer.warmup_steps == load_recipe(recipes / "tiny_joint.yaml").optimizer.warmup_steps


@pytest.mark.parametrize(
    ("name", "override", "expected"),
    [
        ("tiny_joint", "run.max_steps=3", True),
        ("tiny_latents", "run.max_steps=3", False),
        ("tiny_latents", "device=cpu", True),
        ("tiny_joint", "run=3", True),
        ("tiny_joint", "run.max_steps.more=3", False),
        ("tiny_publish", "defaults.height=64", True),
        ("tiny_publish", "defaults.heigth=64", False),
        ("tiny_joint", "", False),
    ],
)
def test_a_recipe_knows_which_overrides_are_meant_for_it(recipes, name, override, expected):
    assert accepts(load_recipe(recipes / f"{name}.yaml"), override) is expected


def test_a_missing_recipe_suggests_the_nearest_one(recipes, tmp_path):
    with pytest.raises(ConfigError, match=r"there is no recipe at .*; did you mean .*tiny_latents.yaml\?"):
        load_recipe(recipes / "tiny_latent.yaml")
    with pytest.raises(ConfigError, match=r"there is no recipe at .*nowhere/x.yaml$"):
        load_recipe(tmp_path / "nowhere" / "x.yaml")


@pytest.mark.parametrize("content", [b"- a list", b"", b"stage: [", b"stage: \xff\xfe\x00"])
def test_a_file_that_is_no_recipe_is_named(tmp_path, content):
    path = tmp_path / "wrong.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"wrong.yaml"):
        load_recipe(path)


def test_a_recipe_without_a_stage_is_told_which_there_are(tmp_path):
    (tmp_path / "none.yaml").write_text("run: {max_steps: 3}")
    with pytest.raises(ConfigError, match=r"stage: must be one of .*joint.*, got None"):
        load_recipe(tmp_path / "none.yaml")
