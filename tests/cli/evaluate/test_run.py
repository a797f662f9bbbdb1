"""`mova evaluate run`: from a benchmark to figures, and on after an interruption."""

import json

import pytest

from mova.cli.app import main

OPTIONS = [
    "--model",
    "mova-tiny",
    "--metrics",
    "levels",
    "--speed",
    "fastest",
    "--steps",
    "2",
    "--frames",
    "9",
    "--modality-scale",
    "1",
]

PARITY = ["--parity", "mova"]


def run(*words):
    return main(["evaluate", "run", *map(str, words)])


def test_a_benchmark_is_generated_measured_and_told_beside_the_paper(tmp_path, capsys):
    report = tmp_path / "report"
    assert run(*OPTIONS, "--benchmark", "toyworld:2", "--report", report, "--size", "64x64", *PARITY) == 0
    text = capsys.readouterr().out
    assert text.startswith("Scored by the rules of the reference evaluation")
    assert "not with `--parity mova`" not in text
    assert "| loudness_lufs (LUFS) |" in text
    assert "| MOVA-360p, bridge scale 1 | 4.269 |" in text
    assert "- DNSMOS, LSE-D, LSE-C: the paper's is over Verse-Bench (set3: 100)" in text
    clips = sorted((report / "clips").rglob("*.mp4"))
    assert len(clips) == 2
    made = [path.stat().st_mtime_ns for path in clips]
    clips[1].unlink()
    assert run(*OPTIONS, "--benchmark", "toyworld:2", "--report", report, "--size", "64x64", "--json", *PARITY) == 0
    document = json.loads(capsys.readouterr().out)
    assert [clip["category"] for clip in document["clips"]] == ["ball", "mallet"]
    assert clips[0].stat().st_mtime_ns == made[0]
    assert clips[1].is_file()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--benchmark", "toyworld:x"], "toyworld:COUNT, got toyworld:x; nearest is toyworld:18"),
        (["--benchmark", "nowhere"], "a benchmark must be a folder with benchmark.json"),
        (["--benchmark", "toyworld:1", "--metrics", "levls"], "did you mean levels"),
        (["--benchmark", "toyworld:1", "--limit", "0"], ""),
        (["--benchmark", "toyworld:1", "--parity", "moa"], "parity must be mova"),
        (["--benchmark", "toyworld:1", "--reference", "x"], "reference needs a scorer that embeds sounds"),
        (["--benchmark", "toyworld:1", "--transcriber", "nobody"], "transcriber must be the address of an endpoint"),
        (["--benchmark", "toyworld:1", "--model", "none"], "model"),
        (["--benchmark", "toyworld:1", "--images", "x"], "images are for a file of prompts"),
    ],
)
def test_mistakes_are_found_before_weights_are_loaded(tmp_path, capsys, words, text):
    assert run(*OPTIONS, "--report", tmp_path / "report", *words) in ((0, 2) if not text else (2,))
    assert text in capsys.readouterr().err
