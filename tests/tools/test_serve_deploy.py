"""The files with which `mova serve` is run for longer, and their guide: held to the settings that there are."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from mova.cli.app import main
from mova.cli.terminal import process
from mova.serve import run
from mova.serve.api.app import make_app
from mova.serve.api.build import services_of
from mova.serve.settings import ServeSettings, load_settings
from serve_site import served

ROOT = Path(__file__).parents[2]
FILES = ROOT / "tools" / "serve"
GUIDE = ROOT / "docs" / "guides" / "serve_deploy.md"
SECTIONS = {name: field.annotation for name, field in ServeSettings.model_fields.items()}


@pytest.fixture
def told(monkeypatch):
    """Settings with which a server would run."""
    found = []
    monkeypatch.setattr(run, "serve", lambda settings, _: found.append(settings))
    return found


def unit(name="mova-serve.service"):
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read(FILES / name)
    return parser


def is_setting(name):
    section, _, key = name.rpartition(".")
    known = SECTIONS if not section else getattr(SECTIONS.get(section), "model_fields", {})
    return key in known


def yaml_blocks():
    return re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)


def test_every_setting_that_the_guide_names_exists():
    text = GUIDE.read_text()
    dotted = set(re.findall(rf"`((?:{'|'.join(SECTIONS)})\.[a-z_]+)`", text))
    rows = re.findall(r"^\| (`.*?`) \| .* \| .* \|$", text, re.MULTILINE)
    assert len(dotted) >= 6
    assert len(rows) >= 7
    named = dotted | {name for row in rows for name in re.findall(r"`([a-z_.]+)`", row)}
    assert [name for name in sorted(named) if not is_setting(name)] == []
    assert not is_setting("limits.nothing")


def test_settings_of_the_guide_and_of_the_service_load(tmp_path):
    first, card = yaml_blocks()
    assert yaml.safe_load(first) == yaml.safe_load((FILES / "serve.yaml").read_text())
    for number, block in enumerate((first, card)):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block)
        load_settings(path)


def test_the_unit_starts_the_server_with_its_settings_and_lets_it_end(told):
    service = unit()["Service"]
    program, *words = shlex.split(service["ExecStart"])
    assert (program, words[:2]) == ("/opt/mova/bin/mova", ["serve", "--settings"])
    assert words[2] == "/etc/mova/serve.yaml"
    assert main([*words[:2], str(FILES / "serve.yaml")]) == 0
    (settings,) = told
    assert settings.data.is_relative_to("/var/lib/" + service["StateDirectory"])
    assert (settings.host, service["KillMode"], service["KillSignal"]) == ("127.0.0.1", "mixed", "SIGTERM")
    assert float(service["TimeoutStopSec"]) > process._MOST_S + run._GRACE_S
    assert service["SuccessExitStatus"] == "143"
    assert service["RestartPreventExitStatus"].split() == ["2", "3"]
    # Code that is compiled while it runs is written to memory and then run.
    assert "MemoryDenyWriteExecute" not in service
    assert unit("gpu.conf")["Service"]["PrivateDevices"] == "no"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_systemd_has_nothing_against_the_unit(tmp_path):
    text = (FILES / "mova-serve.service").read_text().replace("/opt/mova/bin/mova", sys.executable)
    (tmp_path / "mova-serve.service").write_text(text)
    (tmp_path / "mova-serve.service.d").mkdir()
    shutil.copy(FILES / "gpu.conf", tmp_path / "mova-serve.service.d")
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "mova-serve.service")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_proxies_lead_to_the_server_and_hold_no_stream_back(tmp_path):
    settings = load_settings(FILES / "serve.yaml")
    nginx, caddy = (FILES / "nginx.conf").read_text(), (FILES / "Caddyfile").read_text()
    address = f"127.0.0.1:{settings.port}"
    assert set(re.findall(r"proxy_pass (.*);", nginx)) == {f"http://{address}"}
    assert f"reverse_proxy {address}" in caddy
    assert set(re.findall(r"server_name (.*);", nginx)) == set(settings.hosts)
    assert f"\n{settings.hosts[0]} {{" in caddy
    megabytes = settings.limits.upload_bytes // 2**20
    assert f"client_max_body_size {megabytes}m;" in nginx
    assert f"max_size {megabytes}MiB" in caddy
    # One for each place that passes requests on.
    for line in ("Host $http_host", "X-Forwarded-Proto $scheme", "X-Forwarded-For $remote_addr"):
        assert nginx.count(f"proxy_set_header {line};") == nginx.count("proxy_pass ") == 2
    streams = re.compile(re.search(r"location ~ (\S+) \{[^}]*proxy_buffering off;", nginx)[1])
    with services_of(load_settings(None, {"data": tmp_path / "data", "limits.decoders": 1})) as services:
        paths = {route.path for route in make_app(services)[0].routes}
    found = {path for path in paths if streams.search(path.replace("{video_id}", "video_0"))}
    assert found == {path for path in paths if path.endswith("events")} != set()
    assert "flush_interval" not in "".join(line for line in caddy.splitlines() if "#" not in line)


def instructions():
    """Instructions of the container file, in order: name and the rest."""
    text = (FILES / "Containerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines]


def test_the_container_file_builds_from_what_is_there():
    found = instructions()
    assert {name for name, _ in found} <= {
        *("ARG", "FROM", "ENV", "RUN", "WORKDIR", "COPY", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL"),
        *("HEALTHCHECK", "ENTRYPOINT", "CMD"),
    }
    images = [words.split()[0] for name, words in found if name == "FROM"]
    # A name with a host would have a dot or a colon before its first slash.
    assert set(images) == {"python:${PYTHON}-slim"}
    python = next(words for name, words in found if name == "ARG").partition("=")[2]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"Programming Language :: Python :: {python}" in project["classifiers"]
    copied = [words.split()[:-1] for name, words in found if name == "COPY" and not words.startswith("--from")]
    assert [name for names in copied for name in names if not (ROOT / name).exists()] == []
    passed = (ROOT / ".dockerignore").read_text().splitlines()
    assert passed[0] == "*"
    assert {f"!{name}" for names in copied for name in names} == {line for line in passed if line[0] == "!"}
    built = {project["readme"], *project["license-files"], "pyproject.toml", "src", "constraints.txt"}
    assert built <= {name for names in copied for name in names}
    runs = [json.loads(words) for name, words in found if name == "RUN"]
    install = next(words for words in runs if "install" in words)
    assert install[1:] == ["install", "-c", "constraints.txt", ".[serve]"]
    assert "serve" in project["optional-dependencies"]


def test_the_container_runs_the_server_as_a_plain_user(told, tmp_path):
    found = instructions()
    last = {name: words for name, words in found if name not in ("RUN", "COPY", "ENV", "ARG", "FROM")}
    names = [name for name, _ in found]
    assert names.index("USER") < names.index("ENTRYPOINT")
    made = next(json.loads(words) for name, words in found if name == "RUN" and "useradd" in words)
    assert made[made.index("--uid") + 1] == last["USER"] != "0"
    assert made[made.index("--home-dir") + 1] == last["VOLUME"] == last["WORKDIR"]
    entry, command = json.loads(last["ENTRYPOINT"]), json.loads(last["CMD"])
    assert entry == ["mova"]
    assert main(command) == 0
    (settings,) = told
    assert settings.data.is_relative_to(last["VOLUME"])
    assert (settings.host, str(settings.port)) == ("0.0.0.0", last["EXPOSE"])
    # Others reach it, so it has to be given keys first.
    assert not settings.public_without_keys
    check = json.loads(last["HEALTHCHECK"].partition("CMD ")[2])
    assert check[:2] == ["python", "-c"]
    with served(tmp_path) as site:
        code = check[2].replace(f"http://127.0.0.1:{settings.port}", site.url)
        assert site.url in code
        subprocess.run([sys.executable, "-c", code], check=True)
        wrong = code.replace("/health", "/nothing")
        assert subprocess.run([sys.executable, "-c", wrong], capture_output=True, check=False).returncode != 0
