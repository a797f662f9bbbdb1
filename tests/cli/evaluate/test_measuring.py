"""Options of what is measured, as they are typed with `mova evaluate`."""

import json

import pytest
import torch

from evaluated_clips import write_clips
from fake_endpoint import serve_fake
from mova.cli.app import main
from mova.cli.evaluate.measuring import Measuring
from mova.scorers.published.audio_classes import CNN14
from mova.scorers.published.dover import DOVER
from shared_scoring import clip_of
from shared_speech import SAMPLE_RATE, speak
from transcript_calls import tells


def run(capsys, *words):
    code = main(["evaluate", *map(str, words)])
    told = capsys.readouterr()
    return code, told.out, told.err


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured")
    write_clips(folder / "a", 2)
    write_clips(folder / "b", 1)
    return folder


def test_parity_is_told_in_the_head_and_kept_apart_from_the_rules_of_this_package(clips, tmp_path, capsys):
    words = [clips, "--metrics", "levels", "--report", tmp_path / "report"]
    code, out, _ = run(capsys, *words, "--parity", "mova")
    assert code == 0
    assert out.startswith("Scored by the rules of the reference evaluation (`--parity mova`)")
    assert "| over all clips |" in out
    assert "| mean of categories |\n" in out
    document = json.loads((tmp_path / "report" / "report.json").read_text())
    assert document["run"]["parity"] == "mova"
    assert document["run"]["settings"]["flow_short_side"] is None
    assert "clap_32_khz" in document["run"]["settings"]["quirks"]
    for name in ("report.md", "report.html"):
        assert "Scored by the rules of the reference evaluation" in (tmp_path / "report" / name).read_text()
    code, _, err = run(capsys, *words)
    assert code == 2
    assert "made with --parity mova for one without --parity; nearest is a folder of its own" in err
    assert json.loads((tmp_path / "report" / "report.json").read_text()) == document
    code, _, err = run(capsys, *words, "--parity", "mov")
    assert code == 2
    assert "parity must be mova" in err


def test_a_file_of_another_model_is_told_once_before_the_run_and_is_an_error_for_who_asked_for_it(
    clips, tmp_path, capsys
):
    torch.save({"weight": torch.zeros(3)}, tmp_path / CNN14.name)
    code, out, err = run(capsys, clips, "--metrics", "levels,cnn14", "--weights", tmp_path, "--report", tmp_path / "r")
    assert code == 2
    assert "got that of another model" in err
    assert out == ""
    assert not (tmp_path / "r").exists()


def test_no_more_requests_are_made_than_were_allowed_by_two_processes(tmp_path, capsys):
    (tmp_path / "clips").mkdir()
    for index in range(4):
        clip_of(tmp_path / "clips" / f"{index}.mp4", sound=speak(2.0, seed=index), sample_rate=SAMPLE_RATE)
    prompts = {str(index): 'She says "Turn left at the next light."' for index in range(4)}
    (tmp_path / "prompts.json").write_text(json.dumps(prompts))
    with serve_fake() as fake:
        fake.reset(tells("turn left"))
        words = [tmp_path / "clips", "--prompts", tmp_path / "prompts.json", "--metrics", "said", "--workers", 2]
        code, out, _ = run(capsys, *words, "--transcriber", fake.base_url, "--transcriber-calls", 3)
        assert code == 0
        assert len(fake.requests) == 3
    assert "3 of 4" in out
    assert "no answer: budget" in out


def test_without_names_a_scorer_with_a_wrong_file_is_left_out_and_told_once(tmp_path, capsys):
    (tmp_path / DOVER.name).write_bytes(b"no weights")
    plan = Measuring(weights=str(tmp_path)).plan()
    assert set(plan.refused) == {"dover"}
    err = capsys.readouterr().err
    assert err.count("scorer dover is left out: ") == 1
    assert "must be a whole file of torch.save" in err
