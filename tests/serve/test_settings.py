"""What a server is told, by file and options."""

import json
from pathlib import Path

import pytest

from mova.errors import ConfigError, ReadError
from mova.serve.settings import ServeSettings, load_settings


def test_without_a_file_all_is_as_usual_and_nobody_beyond_this_machine_is_listened_to():
    settings = load_settings()
    assert (settings.model, settings.host, settings.public_without_keys) == ("mova-tiny", "127.0.0.1", False)
    assert (settings.fetch.enabled, settings.content_filter) == (False, "")
    assert settings.keys_path() == settings.data / "keys.json"


def test_options_stand_in_place_of_the_file(tmp_path):
    file = tmp_path / "serve.yaml"
    file.write_text("model: mova-tiny\nport: 9000\nlimits:\n  variants: 4\nworker: {lease_s: 5}\n")
    settings = load_settings(file, {"port": 0, "limits.variants": 3, "host": None, "data": tmp_path / "x"})
    assert (settings.port, settings.limits.variants, settings.worker.lease_s) == (0, 3, 5)
    assert settings.host == "127.0.0.1"
    assert settings.artifacts_url() == str(tmp_path / "x" / "artifacts")
    assert settings.database_url() == f"sqlite:///{tmp_path / 'x' / 'jobs.sqlite3'}"


def test_settings_travel_as_json_without_a_secret():
    settings = load_settings(
        None, {"enhance": {"text": {"base_url": "http://127.0.0.1:1/v1", "model": "m", "api_key_env": "MY_KEY"}}}
    )
    assert ServeSettings.from_json(settings.to_json()) == settings
    assert json.loads(settings.to_json())["enhance"]["text"]["api_key_env"] == "MY_KEY"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"prt": 1}, "prt: unknown key; did you mean port"),
        ({"limits.variant": 1}, "limits.variant: unknown key; did you mean variants"),
        ({"port": 70_000}, "nearest is 65535"),
        ({"speed": "exat"}, "nearest is exact"),
        ({"database": "postgresql://me:secret@host/x"}, "must hold no password"),
        ({"hosts": ["https://a.example"]}, "hosts.0: must be a host name"),
        ({"content_filter": "x"}, "must read module:function"),
        ({"model": {}}, "model"),
        ({"port.x": 1, "port": 2}, "port must be a section"),
    ],
)
def test_what_does_not_fit_is_said_with_what_is_near(options, text):
    with pytest.raises(ConfigError, match=text):
        load_settings(None, dict(sorted(options.items(), key=lambda item: "." in item[0])))


def test_a_file_that_is_missing_or_no_mapping_is_said(tmp_path):
    with pytest.raises(ConfigError, match="settings must be a file that exists"):
        load_settings(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- a\n")
    with pytest.raises(ConfigError, match="must hold a mapping"):
        load_settings(tmp_path / "list.yaml")
    (tmp_path / "empty.yaml").write_text("")
    assert load_settings(tmp_path / "empty.yaml") == ServeSettings()


def test_the_runtime_and_the_loras_are_those_of_the_settings(tmp_path):
    settings = load_settings(None, {"memory": "phases", "quantize": "int8", "loras": [f"{tmp_path}/none:0.5"]})
    assert (settings.runtime().memory, settings.runtime().quantization) == ("phases", "int8")
    with pytest.raises(ReadError, match="lora must be a file that exists"):
        settings.lora_choices()
    with pytest.raises(ConfigError, match="nearest"):
        load_settings(None, {"precision": "flot32"}).runtime()
    assert load_settings(None, {"keys_file": "/k.json"}).keys_path() == Path("/k.json")
