"""Who enhances stands in one file, in the environment over it, and never with a key."""

import pytest

from mova.errors import ConfigError
from mova.generate.enhance.presets import PRESETS
from mova.generate.enhance.settings import OFFLINE, EnhanceSettings, read_settings


def write(folder, text, name="enhance.yaml"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def test_without_a_file_nobody_is_asked():
    assert read_settings() == OFFLINE
    assert not OFFLINE.is_online


def test_the_users_own_file_is_read_and_another_one_by_name(tmp_path, monkeypatch):
    write(tmp_path / "config" / "mova", "provider: gemini")
    assert read_settings().text.base_url.startswith("https://generativelanguage")
    other = write(tmp_path, "provider: qwen\nvision: {model: other-vl}", "other.yaml")
    assert read_settings(other).vision.model == "other-vl"
    monkeypatch.setenv("MOVA_ENHANCE_SETTINGS", str(other))
    assert read_settings().provider == "qwen"


def test_the_environment_wins_over_the_file(tmp_path):
    path = write(tmp_path, "provider: gemini\ntext: {model: mine}")
    assert read_settings(path, environment={}).text.model == "mine"
    found = read_settings(path, environment={"MOVA_ENHANCE_PROVIDER": "minimax"})
    assert found.text.model == PRESETS["minimax"]["text"]["model"]
    assert found.vision is None
    variables = {
        "MOVA_ENHANCE_BASE_URL": "http://127.0.0.1:1/v1",
        "MOVA_ENHANCE_MODEL": "a",
        "MOVA_ENHANCE_VISION_MODEL": "b",
    }
    found = read_settings(environment=variables)
    assert (found.text.model, found.vision.model, found.vision.base_url) == ("a", "b", "http://127.0.0.1:1/v1")


@pytest.mark.parametrize("name", PRESETS)
def test_entries_of_providers_fit(name):
    sections = {role: {"model": "m"} for role in PRESETS[name]}
    found = EnhanceSettings.model_validate({"provider": name, **sections})
    assert all(getattr(found, role).model == "m" for role in PRESETS[name])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("providr: gemini", "did you mean provider"),
        ("provider: gemni", "provider must be one of gemini"),
        ("provider: vllm", "text.model must name it"),
        ("text: {model: m}", "base_url"),
        ("text: {model: m, base_url: 'http://h/v1', api_key: sk-1234567}", "unknown key"),
        ("text: {model: m, base_url: 'http://h/v1', api_key_env: sk-1234567}", "environment variable"),
        ("text: {model: m, base_url: 'ftp://h/v1'}", "http://"),
        ("first_frame: true", "first_frame needs"),
        ("orientation: landscap", "did you mean landscape"),
        ("image_size: 4", "image_size"),
        ("most_words: 5", "nearest is 30"),
        ("[1]", "must hold a mapping"),
        ("1: 2", "must hold a mapping"),
        ("a: [", "cannot be read"),
    ],
)
def test_what_does_not_fit_is_explained(tmp_path, text, said):
    with pytest.raises(ConfigError) as error:
        read_settings(write(tmp_path, text), environment={})
    assert said in str(error.value)
    assert "sk-1234567" not in str(error.value)


def test_a_named_file_must_exist(tmp_path):
    with pytest.raises(ConfigError, match="must be a YAML file that exists"):
        read_settings(tmp_path / "none.yaml")
