"""`mova evaluate CLIPS` as it is typed."""

import json

from evaluated_clips import write_clips
from fake_endpoint import sends, serve_fake, status
from mova.cli.app import main
from shared_scoring import clip_of
from shared_speech import SAMPLE_RATE, speak


def run(capsys, *words):
    code = main(["evaluate", *map(str, words)])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_a_folder_is_measured_and_kept(tmp_path, capsys):
    write_clips(tmp_path / "clips", 2)
    (tmp_path / "clips" / "broken.mp4").write_text("no video")
    code, out, _ = run(capsys, tmp_path / "clips", "--metrics", "levels", "--report", tmp_path / "report")
    assert code == 0
    assert "| loudness_lufs (LUFS) |" in out
    assert "2 of 3" in out
    assert "failed: unreadable (1 of 3 clips)" in out
    code, out, _ = run(capsys, tmp_path / "clips", "--metrics", "levels", "--against", tmp_path / "report", "--json")
    document = json.loads(out)
    assert document["paired"][0]["difference"]["value"] == 0
    assert len(document["clips"]) == 3


def test_mistakes_are_told_with_what_is_near(tmp_path, capsys):
    write_clips(tmp_path, 1)
    assert run(capsys)[0] == 2
    assert run(capsys, tmp_path / "none")[0] == 2
    code, _, err = run(capsys, tmp_path, "--metrics", "levels,moton")
    assert code == 2
    assert "did you mean motion" in err


def test_dialogues_are_pooled_with_the_transcripts_of_an_endpoint_and_asked_again_where_it_failed(tmp_path, capsys):
    clips = tmp_path / "clips"
    clips.mkdir()
    clip_of(clips / "a.mp4", sound=speak(3.0), sample_rate=SAMPLE_RATE)
    row = {"id": "a", "path": "a.mp4", "prompt": "Two people talk.", "transcript": "[S01] Hi there. [S02] Who is it?"}
    (clips / "clips.jsonl").write_text(json.dumps(row))
    words = [clips, "--metrics", "said,cpcer", "--report", tmp_path / "report", "--transcriber-speakers", "--json"]
    with serve_fake() as fake:
        words += ["--transcriber", fake.base_url]
        fake.reset(status(400))
        code, out, _ = run(capsys, *words)
        assert code == 0
        assert "no answer: transport: HTTP 400" in out
        fake.reset(sends(b'{"text": "[S05] Who is is? [S01] Hi there"}'))
        code, out, _ = run(capsys, *words)
        assert (code, len(fake.requests)) == (0, 1)
        run(capsys, *words)
        assert len(fake.requests) == 1
    rows = {row["name"]: row for row in json.loads(out)["rows"]}
    assert rows["cpcer"]["estimate"]["value"] == 1 / 14
    assert "cpcer_errors" not in rows
    assert rows["said_wer_pooled"]["estimate"]["value"] is None


def test_a_transcriber_that_is_none_is_refused(tmp_path, capsys):
    write_clips(tmp_path, 1)
    code, _, err = run(capsys, tmp_path, "--transcriber", tmp_path)
    assert code == 2
    assert "must be the address of an endpoint" in err
