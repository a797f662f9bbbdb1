"""`mova curate` as a person types it: a run, another one that does nothing, verdicts again, and why."""

import json
import subprocess
import sys

import pytest

from footage_kit import shots, spoken, steady_ticks, write_video
from mova.cli.app import main
from mova.curate.tables import iter_clips
from mova.files.lock import lock_folder

RECIPE = """\
source: {folder: FOLDER/footage, keep_free_gib: 0}
output: {folder: FOLDER/out}
cut: {num_frames: 25, width: 160, height: 96, preset: ultrafast, speech: none}
score: {scorers: [levels, motion, hashes]}
verdicts: {preset: none, gates: [{score: silence_share, below: 0.9}]}
caption: {captioner: offline}
export: {shards: false}
execution: {workers: 1}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("curate")
    (folder / "footage").mkdir()
    ticks, base = steady_ticks(24, 4.0)
    write_video(
        folder / "footage" / "a.mp4", shots(4.0, [2.0], size=(96, 160)), ticks, base, audio=spoken(4.0, [(0, 3)])
    )
    (folder / "footage" / "b.mp4").write_bytes((folder / "footage" / "a.mp4").read_bytes()[:600])
    recipe = folder / "mine.yaml"
    recipe.write_text(RECIPE.replace("FOLDER", str(folder)))
    assert main(["curate", str(recipe)]) == 0
    return folder, str(recipe)


def test_a_run_gives_every_table_the_report_and_the_list(finished, capsys):
    folder, recipe = finished
    assert main(["curate", recipe, "--json"]) == 0
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert told["clips"] == str(folder / "out" / "clips.parquet")
    assert (told["stages"]["sources"]["in"], told["stages"]["sources"]["failed"]) == (2, 1)
    assert told["stages"]["caption"]["kept"] > 0
    assert "caption" in printed.err
    assert "clips/s" not in printed.err, "nothing was done again"
    out = folder / "out"
    assert all((out / name).is_file() for name in ("sources.parquet", "verdicts.parquet", "report.html"))
    metadata = json.loads((out / "export" / "metadata.json").read_text())
    assert len(metadata) == sum(clip.state == "kept" for clip in iter_clips(out / "clips.parquet"))


def test_verdicts_are_made_again_by_a_process_of_their_own_and_explained(finished):
    folder, recipe = finished

    def run(*words):
        command = [sys.executable, "-m", "mova.cli", "curate", "verdicts", recipe, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    made = run("--set", "verdicts.gates=[{score: loudness_lufs, max: -200}]")
    assert (made.returncode, made.stdout) == (0, f"{folder / 'out' / 'clips.parquet'}\n"), made.stderr
    clips = list(iter_clips(folder / "out" / "clips.parquet"))
    assert {clip.reasons for clip in clips} == {("loudness_lufs: must be <= -200",)}
    assert "verdicts: 0 kept" in made.stderr
    assert json.loads((folder / "out" / "export" / "metadata.json").read_text()) == []
    told = run("--explain", clips[0].path).stdout
    assert told.startswith(f"{clips[0].clip_id}: rejected (verdicts)\n")
    assert "\n  not met        loudness_lufs <= -200  [loudness_lufs: " in told
    assert main(["curate", "verdicts", recipe]) == 0
    assert json.loads((folder / "out" / "export" / "metadata.json").read_text()), "the export follows the verdicts"


def test_a_dry_run_says_what_a_run_will_take_and_writes_nothing(finished, capsys, tmp_path):
    _, recipe = finished
    assert main(["curate", recipe, "--dry-run", "--set", f"output.folder={tmp_path / 'new'}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("footage: 2 sources, ")
    assert lines[1].startswith("unreadable: 1 of 2: ")
    assert [line.partition(":")[0] for line in lines[2:]] == ["clips expected", "calls of endpoints", "disk"]
    assert not (tmp_path / "new").exists()
    assert main(["curate", recipe, "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["measured"]
    assert told["done"] > 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "a name or a path is needed"),
        (("verdicts",), "a name or a path is needed"),
        (("nothing",), "unknown name 'nothing'"),
        (("./verdicts",), "there is no recipe at verdicts"),
        (("RECIPE", "--set", "cut.num_frames=49"), "cut.num_frames is 49 and was 25"),
        (
            ("RECIPE", "--set", "verdicts.gates=[{score: motoin, min: 1}]"),
            "no scorer measures 'motoin'; did you mean motion",
        ),
        (("RECIPE", "--limit", "0"), "--limit"),
        (("verdicts", "RECIPE", "--explain", "zz"), "none has an id that begins with 'zz'"),
    ],
)
def test_wrong_input_is_exit_code_2_with_the_reason(finished, words, text, capsys):
    _, recipe = finished
    assert main(["curate", *(recipe if word == "RECIPE" else word for word in words)]) == 2
    printed = capsys.readouterr()
    assert text in printed.err
    assert printed.out == ""


def test_a_second_run_on_one_folder_is_refused(finished, capsys):
    folder, recipe = finished
    with lock_folder(folder / "out", "output folder"):
        assert main(["curate", recipe]) == 2
    assert "one process at a time may use the output folder" in capsys.readouterr().err
