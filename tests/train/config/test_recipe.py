"""Recipes: the shipped ones, and what is said about wrong ones."""

import copy
import random
from pathlib import Path

import pytest
import yaml

import mova
from mova.errors import ConfigError
from mova.recipe.locate import find_recipe, list_recipes
from mova.toyworld import DEFAULT_KINDS
from mova.train.config import LadderConfig, accepts, load_recipe
from mova.train.ladder import plan_recipe

MODEL = Path(mova.__file__).parent / "assets" / "mova-tiny"

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
SHIPPED = [recipe.name for recipe in list_recipes("train")]
ABLATION_RECIPES = Path(__file__).parents[3] / "benchmarks" / "ablations"
# What a recipe of each kind has is the same for the shipped ones and those of the history.
NAMES = sorted({*SHIPPED, *LADDER, *GROWN})


def test_what_is_shipped_is_what_people_begin_with():
    """What made the shipped weights is beside them, and the ablations' variants are beside the ablations."""
    alone = [recipe.name for recipe in list_recipes("train") if not recipe.ladder]
    assert alone == sorted([*FULL_SIZE, *DISTILLED, "tiny", "tiny_conditions", "tiny_lora", "tiny_wordings"])
    assert sorted(path.stem for path in ABLATION_RECIPES.glob("*.yaml")) == ABLATIONS


def test_the_shipped_ladder_names_its_stages_in_their_order(tmp_path):
    ladder = load_recipe("tiny")
    assert isinstance(ladder, LadderConfig)
    stages = [recipe.name for recipe in list_recipes("train") if recipe.ladder == "tiny"]
    assert list(ladder.recipes) == stages
    assert all(load_recipe(name).data.kinds == DEFAULT_KINDS for name in stages[:-1])
    # A copy elsewhere finds them too.
    (tmp_path / "mine.yaml").write_text(find_recipe("tiny", "train").read_text())
    assert [name for name, _, _ in plan_recipe(tmp_path / "mine.yaml")] == stages


def test_the_history_holds_two_ladders_and_every_stage_once(recipes):
    history = recipes("tiny").parent
    assert sorted(path.stem for path in history.glob("*.yaml")) == sorted([*LADDER, *GROWN])
    for names in (LADDER, GROWN):
        ladder = load_recipe(history / f"{names[0]}.yaml")
        assert sorted(ladder.recipes) == [f"{name}.yaml" for name in names[1:]]
        assert len(plan_recipe(history / f"{names[0]}.yaml")) == len(names) - 1


# Stages that leave out what the towers know best, and decoders, which are not to put together what is held out.
FEWER_KINDS = {"tiny_grow_joint_turns"}
ALL_COMBINATIONS = {"tiny_grow_audio_decoder", "tiny_grow_voice_decoder"}


@pytest.mark.parametrize("path", ["tiny", MODEL / "history" / "tiny_grow.yaml"], ids=["tiny", "tiny_grow"])
def test_a_ladder_over_all_scenes_gives_every_stage_the_same_captions(path):
    for name, config, _ in plan_recipe(path):
        data = getattr(config, "data", None)
        if data is None:
            continue
        assert data.ranked_captions
        assert (set(data.kinds) < set(DEFAULT_KINDS)) == (name in FEWER_KINDS)
        assert data.combinations == ("all" if name in ALL_COMBINATIONS else "training")


def test_full_size_phases_hold_the_papers_values(recipes):
    """Table 7 of the paper."""
    phases = [load_recipe(recipes(f"joint_phase{number}")) for number in (1, 2, 3)]
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


EVERY = sorted([*ABLATION_RECIPES.glob("*.yaml"), *(MODEL / "history").glob("*.yaml")])
EVERY += [recipe.path for recipe in list_recipes("train")]


@pytest.mark.parametrize("path", EVERY, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_recipe_of_the_project_fits_and_can_be_written_down_and_read_again(tmp_path, path):
    recipe = load_recipe(path)
    resolved = tmp_path / "recipe.json"
    resolved.write_text(recipe.model_dump_json())
    assert load_recipe(resolved) == recipe


def test_every_unknown_key_and_wrong_value_is_listed_with_the_nearest_name(recipes):
    wrong = ["run.max_stpes=3", "run.batch_size=0", "shfit=2", "optimizer.name=sgd", "data.qqqq=1"]
    with pytest.raises(ConfigError) as raised:
        load_recipe(recipes("tiny_audio_tower"), wrong)
    lines = str(raised.value).splitlines()
    assert len(lines) == 1 + len(wrong)
    assert "  run.max_stpes: unknown key; did you mean max_steps?" in lines
    assert "  shfit: unknown key; did you mean shift?" in lines
    assert any(line.startswith("  data.qqqq: unknown key; known: combinations, kinds, ") for line in lines)
    assert "  run.batch_size: Input should be greater than or equal to 1, got 0; nearest is 1" in lines
    assert "  optimizer.name: Input should be 'adamw', 'adamw8bit' or 'muon', got 'sgd'" in lines


def test_a_missing_key_is_named(recipes, tmp_path):
    raw = yaml.safe_load((recipes("tiny_audio_tower")).read_text())
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
        load_recipe(recipes("tiny_video_autoencoder"), [override])


def test_overrides_reach_their_keys_with_their_types(recipes):
    recipe = load_recipe(
        recipes("tiny_joint"),
        ["optimizer.lr=1e-4", "run.max_minutes=null", "expert_cycle=[low_noise, high_noise]", "run.seed=7"],
    )
    assert recipe.optimizer.lr == 1e-4
    assert recipe.run.max_minutes is None
    assert recipe.expert_cycle == ("low_noise", "high_noise")
    assert recipe.run.seed == 7
    assert recipe.optimizer.warmup_steps == load_recipe(recipes("tiny_joint")).optimizer.warmup_steps


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
    assert accepts(load_recipe(recipes(name)), override) is expected


def test_a_missing_recipe_suggests_the_nearest_one(recipes, tmp_path):
    with pytest.raises(ConfigError, match=r"there is no recipe at .*; did you mean .*tiny_latents.yaml\?"):
        load_recipe(recipes("tiny_latent"))
    with pytest.raises(ConfigError, match=r"there is no recipe at .*nowhere/x.yaml$"):
        load_recipe(tmp_path / "nowhere" / "x.yaml")


def test_a_recipe_that_has_moved_one_folder_down_is_found(tmp_path):
    (tmp_path / "recipes" / "train").mkdir(parents=True)
    (tmp_path / "recipes" / "train" / "mine.yaml").touch()
    with pytest.raises(ConfigError, match=r"there is no recipe at .*; did you mean .*recipes/train/mine.yaml\?"):
        load_recipe(tmp_path / "recipes" / "mine.yaml")


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


@pytest.mark.parametrize(
    ("name", "override"),
    [
        ("tiny_joint", "optimizer.betas=[2, 2]"),
        ("tiny_joint", "optimizer.betas=[0.9, 1]"),
        ("tiny_joint", "optimizer.betas=[-0.1, 0.9]"),
        ("tiny_joint", "optimizer.betas=[0.9]"),
        ("tiny_joint", f"run.seed={'9' * 30}"),
        ("tiny_joint", "run.seed=-1"),
        ("tiny_joint", "run.seed=1.5"),
        ("tiny_joint", "optimizer.lr=.nan"),
        ("tiny_joint", "optimizer.lr=.inf"),
        ("tiny_joint", "optimizer.lr=1e30"),
        ("tiny_joint", "optimizer.lr=-1"),
        ("tiny_joint", "optimizer.clip_norm=.inf"),
        ("tiny_joint", "optimizer.weight_decay=1e9"),
        ("tiny_joint", "run.max_steps=1e18"),
        ("tiny_joint", "run.max_steps=-5"),
        ("tiny_joint", "run.max_minutes=.nan"),
        ("tiny_joint", "run.batch_size=100000000000"),
        ("tiny_joint", "run.micro_batch=5"),
        ("tiny_joint", "run.log_every=0"),
        ("tiny_joint", "run.keep_checkpoints=0"),
        ("tiny_joint", "parallel.shard=3"),
        ("tiny_joint", "parallel.shard=100000000000"),
        ("tiny_joint", "data.num_clips=-3"),
        ("tiny_joint", "data.num_clips=100000000000000"),
        ("tiny_joint", "data.size=1000000000"),
        ("tiny_joint", "data.num_frames=1000000001"),
        ("full_finetune_publish", "max_shard_size=15MiB"),
        ("tiny_joint", "data.workers=257"),
        ("tiny_joint", "data.workers=1000000"),
        ("tiny_joint", "video_shift=.nan"),
        ("tiny_joint", "validation.clips=1000000000"),
        ("tiny_joint", "validation.num_inference_steps=1000000000"),
        ("tiny_joint", "start.changes={video_dit: {num_layers: 1000000000}}"),
        ("tiny_joint", "start.changes={video_dit: {dim: -1000000000}}"),
        ("tiny_joint", "start.changes={video_dit: {dim: {}}}"),
        ("tiny_joint", "start.changes={video_dit: {eps: .nan}}"),
        ("tiny_lora", "adapters.video_dit.rank=100000000000"),
        ("tiny_lora", "adapters.video_dit.alpha=.inf"),
        ("tiny_lora", "output=../../lora.safetensors"),
        ("tiny_lora", "output=lora.safetensors.sh"),
        ("tiny_distill", "teacher_steps=100000000"),
        ("tiny_publish", "max_shard_size=many"),
        ("tiny_publish", "defaults.frame_rate=.nan"),
        ("tiny_publish", "defaults.guidance_scale=-1"),
        ("tiny_publish", "defaults.height=0"),
        ("tiny_text_encoder", "max_tokens=1000000000"),
        ("tiny_video_autoencoder", "full_frame_batch=1000000000"),
        ("tiny_audio_autoencoder", "segment_steps=1000000000"),
        ("lora", "data.sizes=[0x0]"),
        ("lora", "data.sizes=[640x35200000]"),
        ("lora", "data.frame_rate=1e-9"),
        ("lora", "data.frame_rate=1e9"),
        ("lora", "data.views=1000000000"),
    ],
)
def test_values_that_would_fail_later_are_refused_when_read(recipes, name, override):
    with pytest.raises(ConfigError) as raised:
        load_recipe(recipes(name), [override])
    text = str(raised.value)
    assert "does not fit" in text
    assert override.partition("=")[0].rpartition(".")[2] in text or "batch" in text
    assert len(text) < 1000


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("optimizer.betas=[2, 0.9]", "optimizer.betas.0: Input should be less than 1, got 2"),
        ("run.seed=-4", "run.seed: Input should be greater than or equal to 0, got -4; nearest is 0"),
        ("validation.clips=20000", "less than or equal to 10000, got 20000; nearest is 10000"),
        ("optimizer.name=adam", "got 'adam'; did you mean adamw?"),
        ("run.micro_batch=5", "run.micro_batch must divide the 16 samples of a process, got 5; nearest is 4"),
        ("stage=joind", "got 'joind'; did you mean joint?"),
    ],
)
def test_an_error_says_what_is_nearest(recipes, override, told):
    with pytest.raises(ConfigError) as raised:
        load_recipe(recipes("tiny_joint"), ["run.batch_size=16", override])
    assert told in str(raised.value)


def nested(depth):
    value = "x"
    for _ in range(depth):
        value = [value]
    return value


WRONG = (None, True, -1, 0, 10**30, 1.5, float("nan"), float("inf"), "", "x" * 100_000, [], {}, nested(30))
WRONG += ([1, 2] * 1000, {"x": 1}, {1: 2}, {"y" * 1000: {"z": 3}}, "2020-01-01", "../..", "\u202e")


def places(values, before=()):
    for key, value in values.items():
        yield (*before, key)
        if isinstance(value, dict):
            yield from places(value, (*before, key))


def refusal(path):
    try:
        load_recipe(path)
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("count", [100, pytest.param(500, marks=pytest.mark.slow)])
def test_a_recipe_with_anything_in_its_places_is_read_or_refused_shortly(recipes, tmp_path, count):
    draw = random.Random(0)
    plain = {name: load_recipe(recipes(name)).model_dump(mode="json") for name in NAMES}
    for _ in range(count):
        values = copy.deepcopy(plain[draw.choice(NAMES)])
        for _ in range(draw.randint(1, 3)):
            *parents, last = draw.choice(list(places(values)))
            node = values
            for parent in parents:
                node = node[parent]
            node[draw.choice((last, last, last, "x" * 500))] = draw.choice(WRONG)
        (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(values))
        assert len(refusal(tmp_path / "wrong.yaml")) < 6000


def test_a_bomb_of_aliases_is_a_short_error(recipes, tmp_path):
    lines = [f"a0: &a0 [{','.join('x' * 9)}]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 7)]
    (tmp_path / "bomb.yaml").write_text("\n".join([*lines, "stage: text_encoder", "data: {kinds: *a6}"]))
    with pytest.raises(ConfigError, match="with its aliases written out") as raised:
        load_recipe(tmp_path / "bomb.yaml")
    assert len(str(raised.value)) < 500
    # Within the bounds, what is said of a large value stays short too.
    (tmp_path / "large.yaml").write_text("\n".join([*lines[:4], "stage: text_encoder", "data: {kinds: *a3}"]))
    with pytest.raises(ConfigError) as raised:
        load_recipe(tmp_path / "large.yaml")
    assert len(str(raised.value)) < 10_000


def test_the_values_of_an_override_have_the_same_bounds(recipes):
    with pytest.raises(ConfigError, match="is not YAML") as raised:
        load_recipe(recipes("tiny_joint"), ["run.seed=" + "[" * 100_000])
    assert len(str(raised.value)) < 1000
    with pytest.raises(ConfigError, match="must read key=value") as raised:
        load_recipe(recipes("tiny_joint"), ["x" * 100_000])
    assert len(str(raised.value)) < 1000
