import subprocess
import sys
from pathlib import Path

import pytest

from mova.errors import ConfigError, ReadError
from mova.generate.request import GenerateRequest
from mova.settings.sampling import SamplingSettings


def test_request_needs_text_existing_files_and_one_task(tmp_path):
    chosen = SamplingSettings()
    file = tmp_path / "x.png"
    file.touch()
    for prompt in ("", " \n"):
        with pytest.raises(ConfigError, match="prompt must hold text"):
            GenerateRequest(prompt=prompt, settings=chosen)
    with pytest.raises(ReadError, match=r"image must be a file that exists, got .*missing\.png"):
        GenerateRequest(prompt="a dog", settings=chosen, image=tmp_path / "missing.png")
    with pytest.raises(ReadError, match="audio must be a file that exists"):
        GenerateRequest(prompt="a dog", settings=chosen, audio=tmp_path)
    with pytest.raises(ConfigError, match="nothing is left to generate"):
        GenerateRequest(prompt="a dog", settings=chosen, audio=file, video=file)
    with pytest.raises(ConfigError, match="video already holds the frames"):
        GenerateRequest(prompt="a dog", settings=chosen, last_image=file, video=file)
    with pytest.raises(ConfigError, match="seed must be a whole number of 0 or more, got -1; nearest is 0"):
        GenerateRequest(prompt="a dog", settings=chosen, seed=-1)
    assert GenerateRequest(prompt="a dog", settings=chosen, image=file, last_image=file, audio=file).seed == 0


def test_checks_need_no_torch():
    code = "import sys, mova.generate.run, mova.generate.request; sys.exit('torch' in sys.modules)"
    source = Path(__file__).parents[2] / "src"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(source)}, check=False).returncode == 0
