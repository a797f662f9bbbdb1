"""VideoReward from files at a small size."""

import json

import numpy as np
import pytest
import torch

from mova.errors import ConfigError
from mova.scorers.clip_media import ClipMedia
from mova.scorers.published.video_reward import VideoRewardScorer, open_judge, read_settings, read_template
from shared_scoring import clip_of, score, texture
from small_scorers import TEMPLATE, save_video_reward


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("weights")
    save_video_reward(made)
    return made


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    frames = np.stack([np.roll(texture(64, 96), index, axis=1) for index in range(24)])
    return clip_of(tmp_path_factory.mktemp("clips") / "a.mp4", frames).path


def changed(folder, tmp_path, name, text):
    for file in (folder / "video_reward").iterdir():
        (tmp_path / "video_reward").mkdir(exist_ok=True)
        (tmp_path / "video_reward" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "video_reward" / name).write_text(text)
    return tmp_path


def test_rewards_are_normalised_and_summed(folder, path):
    found = score(VideoRewardScorer(folder), ClipMedia(path, "a dog barks")).scores
    values = [found[f"video_reward_{part}"].value for part in ("vq", "mq", "ta", "overall")]
    assert all(isinstance(value, float) for value in values), found
    assert values[3] == pytest.approx(sum(values[:3]))
    again = score(VideoRewardScorer(folder), ClipMedia(path, "a dog barks")).scores
    assert again == found
    assert read_settings(folder / "video_reward/model_config.json").normalised((0.5, 1.0, 0.25)) == (0.0, 2.0, -1.0)


def test_the_prompt_stands_in_the_text_of_the_original(folder):
    judge = open_judge(folder)
    question = judge.question("a {strange} prompt")
    assert question.startswith(f"<|vision_end|>{TEMPLATE.split('{')[0]}a {{strange}} prompt")
    assert question.endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert judge.settings.scale == 2.0


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("", "not applicable: the clip has no prompt"),
        ("say <|MQ_reward|>", "failed: ValueError: a text must have each"),
    ],
)
def test_prompts_that_cannot_be_judged_have_reasons(folder, path, prompt, reason):
    found = score(VideoRewardScorer(folder), ClipMedia(path, prompt)).scores
    assert found["video_reward_ta"].reason.startswith(reason)


def test_a_single_frame_has_no_motion_to_judge(folder, tmp_path):
    clip = clip_of(tmp_path / "a.mp4", texture(64, 96)[None])
    clip.prompt = "a dog"
    assert score(VideoRewardScorer(folder), clip).scores["video_reward_mq"].reason == (
        "not applicable: the clip has a single frame"
    )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("model_config.json", "{}", "must have an object data_config"),
        ("config.json", '{"model_type": "bert"}', "must be of model_type 'qwen2_vl', got 'bert'"),
        ("tokenizer.json", "{}", "must be a tokenizer.json"),
        ("prompt_template.py", "import os", "DETAILED_PROMPT_WITH_SPECIAL_TOKEN"),
        ("prompt_template.py", "a = (", "cannot be read"),
        ("model.pth", "words", "must be a whole file of torch.save"),
    ],
)
def test_files_of_something_else_are_clear_errors(folder, path, tmp_path, name, text, message):
    place = changed(folder, tmp_path, name, text)
    with pytest.raises(ConfigError, match=message):
        open_judge(place)
    found = score(VideoRewardScorer(place), ClipMedia(path, "a dog")).scores
    assert found["video_reward_vq"].reason.startswith("failed: ConfigError")


def test_weights_of_another_model_are_refused(folder, tmp_path):
    place = changed(folder, tmp_path, "config.json", (folder / "video_reward/config.json").read_text())
    torch.save({"conv.weight": torch.zeros(3)}, place / "video_reward/model.pth")
    with pytest.raises(ConfigError, match=r"must be the file for VideoRewardNetwork .* missing"):
        open_judge(place)


def test_another_way_of_judging_is_refused(folder, tmp_path):
    settings = json.loads((folder / "video_reward/model_config.json").read_text())
    settings["data_config"]["prompt_template_type"] = "simple"
    place = tmp_path / "model_config.json"
    place.write_text(json.dumps(settings))
    with pytest.raises(ConfigError, match="must have prompt_template_type 'detailed_special', got 'simple'"):
        read_settings(place)


def test_the_template_is_read_and_not_run(tmp_path):
    place = tmp_path / "prompt_template.py"
    marker = tmp_path / "run"
    place.write_text(f"open({str(marker)!r}, 'w')\nDETAILED_PROMPT_WITH_SPECIAL_TOKEN = {TEMPLATE!r}\n")
    assert read_template(place) == TEMPLATE
    assert not marker.exists()


def test_a_configuration_without_a_section_for_the_text_is_that_of_the_published_model(folder, tmp_path):
    stated = json.loads((folder / "video_reward/config.json").read_text())
    text = stated.pop("text_config")
    kept = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
    flat = {**stated, **{name: text[name] for name in kept}, "vocab_size": 9, "rope_theta": 1_000_000.0}
    flat["rope_scaling"] = {"type": "mrope", "mrope_section": [2, 3, 3]}
    judge = open_judge(changed(folder, tmp_path, "config.json", json.dumps(flat)))
    assert judge.network.state_dict()["model.embed_tokens.weight"].shape == (9, 32)
