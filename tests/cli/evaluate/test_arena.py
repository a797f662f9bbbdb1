"""`mova evaluate arena` as it is typed."""

import json
import os
import signal
import subprocess
import sys
import urllib.request

from arena_kit import MODELS, copy_arena, drawn_votes
from mova.cli.app import main
from mova.evaluate.arena.contents import ArenaFacts
from mova.evaluate.arena.exchange import write_votes


def run(capsys, *words):
    code = main(["evaluate", "arena", *map(str, words)])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_from_clips_to_an_export(arena, tmp_path, capsys):
    models = [word for model in MODELS for word in ("--model", f"{model}={arena.parent / 'clips' / model}")]
    assert run(capsys, "create", tmp_path / "a", *models)[:2] == (0, "6 clips of 2 prompts: 6 pairs\n")
    code, out, _ = run(
        capsys, "link", tmp_path / "a", "--rater", "Ida", "--rater", "Ben", "--address", "https://x.org/"
    )
    assert code == 0
    name, link = out.splitlines()[0].split("\t")
    assert name == "Ida"
    assert link.startswith("https://x.org/#")
    assert run(capsys, "link", tmp_path / "a", "--rater", "Ida")[0] == 2
    assert run(capsys, "export", tmp_path / "a", tmp_path / "votes.jsonl")[:2] == (0, "0 votes\n")
    assert link.partition("#")[2] not in (tmp_path / "votes.jsonl").read_text()
    assert run(capsys, "import", tmp_path / "a", tmp_path / "votes.jsonl")[1] == "0 votes added, 0 known\n"
    assert "no votes" in run(capsys, "ratings", tmp_path / "a")[1]


def test_ratings_of_a_file(tmp_path, capsys):
    votes = drawn_votes(200, {"a": 1100, "b": 1000, "c": 900})
    write_votes(tmp_path / "votes.jsonl", ArenaFacts("Balls", ("a", "b", "c"), 11, 200), votes)
    code, out, _ = run(capsys, "ratings", tmp_path / "votes.jsonl", "--cluster", "rater", "--report", tmp_path / "out")
    assert code == 0
    assert "| 1 | a |" in out
    assert (tmp_path / "out" / "report.html").is_file()
    document = json.loads(run(capsys, "ratings", tmp_path / "votes.jsonl", "--json")[1])
    assert document["num_counted"] == 200


def test_mistakes_are_told_with_what_is_near(arena, tmp_path, capsys):
    for words, text in (
        (("ratigns", arena), "ratings"),
        (("ratings", tmp_path / "none"), "must be a file"),
        (("ratings", arena, "--criterion", "sink"), "did you mean sync"),
        (("ratings", arena, "--cluster", "prompts"), "did you mean prompt"),
        (("serve", tmp_path), "mova evaluate arena create"),
        (("serve", arena, "--port", "70000"), "nearest is 65535"),
        (("serve", arena, "--watch", "require"), "did you mean required"),
        (("serve", arena, "--votes-per-minute", "0"), "nearest is 1"),
        (("create", tmp_path / "a", "--model", "a"), "NAME=CLIPS"),
        (("create", tmp_path / "a", "--model", f"a={tmp_path}", "--model", f"b={tmp_path}"), "clips"),
        (("link", arena, "--rater", "x", "--address", "host:8600"), "nearest is http://host:8600"),
        (("export", tmp_path, tmp_path / "x"), "must be the folder of an arena"),
    ):
        code, _, err = run(capsys, *words)
        assert code == 2, words
        assert text in err, words


def test_a_server_serves_until_it_is_asked_to_end(arena, tmp_path):
    root = copy_arena(arena, tmp_path / "arena")
    command = [sys.executable, "-m", "mova.cli", "evaluate", "arena", "serve", str(root), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ}) as process:
        address = process.stdout.readline().strip()
        with urllib.request.urlopen(f"{address}health", timeout=300) as reply:
            assert reply.read() == b"ok"
        process.send_signal(signal.SIGINT)
        assert process.wait(300) == 130
