"""`mova generate` for several clips, and for clips that are made again."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mova.cli.app import main
from mova.media.read import read_clip
from mova.media.write import read_metadata, write_clip
from mova.pipeline import load
from mova.pipeline.load import load_pipeline
from mova.types import Clip
from mova.weights import fingerprint

CHECKPOINT = Path(__file__).parents[1] / "numerics" / "records" / "pipeline_checkpoint"
SHORT = ["--model", str(CHECKPOINT), "--size", "48x32", "--frames", "5", "--steps", "1"]


def generate(*options):
    return main(["generate", *map(str, options)])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a clip that has a first frame."""
    folder = tmp_path_factory.mktemp("made")
    Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(folder / "first.png")
    options = ["--image", folder / "first.png", "--seed", 4, "--index", 1, "--guidance-scale", 2]
    assert generate("--prompt", "a dog", "--output", folder / "a.mp4", *options, *SHORT) == 0
    return folder


def apart(one, other):
    """Mean distance of the frames in levels. Of one clip that is loaded for and made twice it is not always 0.

    Sums depend on where in memory their parts begin, so that a level may round the other way, and a codec spreads it.
    """
    frames = [read_clip(path).frames.astype(int) for path in (one, other)]
    return np.abs(frames[0] - frames[1]).mean()


def test_a_clip_is_made_again_from_its_own_metadata(made, tmp_path, capsys):
    assert generate("--from", made / "a.mp4", "--model", CHECKPOINT, "--output", tmp_path / "b.mp4") == 0
    assert read_metadata(tmp_path / "b.mp4") == read_metadata(made / "a.mp4")
    assert "sha256" not in capsys.readouterr().err
    assert apart(tmp_path / "b.mp4", made / "a.mp4") < 1
    options = ["--seed", 5, "--output", tmp_path / "c.mp4"]
    assert generate("--from", made / "a.mp4", "--model", CHECKPOINT, *options) == 0
    assert apart(tmp_path / "c.mp4", made / "a.mp4") > 5


def test_a_clip_names_its_precision_and_is_made_again_in_it(made, tmp_path, capsys, monkeypatch):
    assert read_metadata(made / "a.mp4")["precision"] == "float32"
    asked = []

    def loading(*arguments, runtime, **options):
        asked.append(runtime.precision)
        return load_pipeline(*arguments, runtime=runtime, **options)

    monkeypatch.setattr(load, "load_pipeline", loading)
    half = [*SHORT, "--prompt", "a dog", "--output", tmp_path / "half.mp4", "--precision", "bfloat16"]
    assert generate(*half) == 0
    assert read_metadata(tmp_path / "half.mp4")["precision"] == "bfloat16"
    again = ["--from", tmp_path / "half.mp4", "--model", CHECKPOINT]
    assert generate(*again, "--output", tmp_path / "again.mp4") == 0
    assert read_metadata(tmp_path / "again.mp4") == read_metadata(tmp_path / "half.mp4")
    assert generate(*again, "--output", tmp_path / "whole.mp4", "--precision", "float32") == 0
    assert asked == ["bfloat16", "bfloat16", "float32"]
    assert read_metadata(tmp_path / "whole.mp4")["precision"] == "float32"


def test_a_kept_clip_counts_in_any_precision_but_another_that_was_asked_for(tmp_path, capsys):
    command = [*SHORT, "--prompt", "a dog", "--count", 2, "--output", tmp_path / "clip.mp4"]
    assert generate(*command, "--precision", "bfloat16") == 0
    capsys.readouterr()
    assert generate(*command) == 0
    assert capsys.readouterr().err.count("is there already, kept") == 2
    assert generate(*command, "--precision", "float32") == 2
    assert "which holds another; choose another --output" in capsys.readouterr().err


def test_options_beside_a_clip_win_and_other_files_are_named_by_hash(made, tmp_path, capsys):
    Image.fromarray(np.full((40, 60, 3), 200, np.uint8)).save(tmp_path / "other.png")
    options = ["--image", tmp_path / "other.png", "--seed", 9, "--steps", 2, "--prompt", "a cat", "--json"]
    assert generate("--from", made / "a.mp4", "--model", CHECKPOINT, "--output", tmp_path / "b.mp4", *options) == 0
    shown = capsys.readouterr()
    record = json.loads(shown.out)["metadata"]
    assert (record["prompt"], record["seed"], record["index"]) == ("a cat", 9, 1)
    assert (record["settings"]["num_inference_steps"], record["settings"]["guidance_scale"]) == (2, 2.0)
    before = read_metadata(made / "a.mp4")["image"]["sha256"]
    assert f"other.png with sha256 {record['image']['sha256']} in place of first.png with {before}" in shown.err


def test_a_missing_or_changed_input_of_a_clip_stops_before_weights_are_loaded(made, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(load, "load_pipeline", lambda *_, **__: pytest.fail("weights were loaded"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.mp4").write_bytes((made / "a.mp4").read_bytes())
    again = ["--from", "a.mp4", "--model", CHECKPOINT, "--output", "b.mp4"]
    wanted = read_metadata(made / "a.mp4")["image"]["sha256"]
    assert generate(*again) == 2
    assert f"first.png (sha256 {wanted}), which is not in" in capsys.readouterr().err
    (tmp_path / "first.png").write_bytes(b"changed")
    assert generate(*again) == 2
    assert "first.png with sha256" in capsys.readouterr().err
    assert generate("--from", "a.mp4", "--output", "b.mp4") == 2
    assert "the model of a.mp4 must be given with --model" in capsys.readouterr().err


def test_other_weights_are_said(made, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(fingerprint, "weights_hash", lambda _: "0123")
    assert generate("--from", made / "a.mp4", "--model", CHECKPOINT, "--output", tmp_path / "b.mp4") == 0
    assert "weights: pipeline_checkpoint has sha256 0123, a.mp4 was made with" in capsys.readouterr().err


def test_several_clips_are_made_kept_and_never_overwritten(tmp_path, capsys):
    (tmp_path / "list.txt").write_text('a dog\n{"prompt": "a cat", "seed": 7, "output": "cat.mp4"}\n')
    command = ["--prompts", tmp_path / "list.txt", *SHORT, "--output", tmp_path / "clip.mp4"]
    assert generate(*command) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "clip-000.mp4"), str(tmp_path / "cat.mp4")]
    (tmp_path / "cat.mp4").unlink()
    assert generate(*command, "--json") == 0
    shown = capsys.readouterr()
    first, second = json.loads(shown.out)
    assert (first["skipped"], second["metadata"]["seed"]) == (True, 7)
    assert "clip-000.mp4 is there already, kept" in shown.err
    before = (tmp_path / "clip-000.mp4").read_bytes()
    assert generate(*command, "--seed", 1) == 2
    assert "clip-000.mp4, which holds another; choose another --output" in capsys.readouterr().err
    assert (tmp_path / "clip-000.mp4").read_bytes() == before


def test_a_clip_of_a_count_is_made_again_alone_by_its_index(tmp_path, capsys):
    assert generate("--prompt", "a dog", "--count", 2, *SHORT, "--output", tmp_path / "%d.mp4") == 0
    assert generate("--prompt", "a dog", "--index", 1, *SHORT, "--output", tmp_path / "alone.mp4") == 0
    assert read_metadata(tmp_path / "alone.mp4") == read_metadata(tmp_path / "1.mp4")
    assert apart(tmp_path / "alone.mp4", tmp_path / "1.mp4") < 1
    assert apart(tmp_path / "alone.mp4", tmp_path / "0.mp4") > 5


def test_a_part_of_a_longer_video_is_used_and_said(tmp_path, capsys):
    frames = np.repeat(np.linspace(0, 255, 48).astype(np.uint8), 32 * 48 * 3).reshape(48, 32, 48, 3)
    write_clip(tmp_path / "long.mp4", Clip(frames, np.zeros((1, 32_000), np.float32), 24.0, 16_000))
    options = ["--video", tmp_path / "long.mp4", "--start", 1, *SHORT, "--output", tmp_path / "a.mp4", "--json"]
    assert generate("--prompt", "a dog", *options) == 0
    shown = capsys.readouterr()
    assert "video: 1.00 s to 1.21 s of long.mp4, which lasts 2.00 s" in shown.err
    assert json.loads(shown.out)["metadata"]["start_s"] == 1.0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ([], "prompt must hold text, got none; give --prompt, --prompts FILE or --from CLIP.mp4"),
        (["--prompt", "a", "--prompts", "list.txt"], "prompt and prompts are both given"),
        (["--prompts", "none.txt"], "prompts must be a text file that can be read"),
        (["--from", "none.mp4"], "none.mp4"),
        (
            ["--prompt", "a dog", "--precision", "bf16"],
            "precision must be one of auto, float32, bfloat16; got 'bf16'; nearest is bfloat16",
        ),
        (["--prompt", "a", "--start", "1"], "start is for a video or audio that is given, got 1.0 without"),
        (["--prompt", "a", "--start", "-1"], "start must be finite and 0 or more seconds, got -1.0; nearest is 0"),
        (["--prompt", "a", "--count", "0"], "count must lie between 1 and 10000, got 0; nearest is 1"),
        (["--prompt", "a", "--index", "-1"], "index must be"),
    ],
    ids=str,
)
def test_wrong_wishes_are_explained_with_exit_code_2(tmp_path, capsys, monkeypatch, options, text):
    monkeypatch.chdir(tmp_path)
    assert generate(*options, "--model", CHECKPOINT, "--output", "a.mp4") == 2
    assert text in capsys.readouterr().err


def test_a_clip_says_what_its_linear_layers_computed_with_and_is_made_again_with_it(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked = ["--prompt", "a dog", *SHORT, "--output"]
    assert generate(*asked, tmp_path / "plain.mp4", "--kernels", "plain") == 0
    assert read_metadata(tmp_path / "plain.mp4")["kernels"] == "plain"
    assert generate(*asked, tmp_path / "auto.mp4", "--kernels", "auto") == 0
    record = read_metadata(tmp_path / "auto.mp4")["kernels"]
    assert set(record["products"].values()) <= {"torch", "onednn"}
    # Forgotten, and told otherwise by the environment: the clip itself says it.
    (tmp_path / "mova" / "linear_kernels.jsonl").unlink()
    again = ["--from", tmp_path / "auto.mp4", "--model", CHECKPOINT, "--output", tmp_path / "again.mp4"]
    assert generate(*again) == 0
    assert read_metadata(tmp_path / "again.mp4")["kernels"] == record
    assert (tmp_path / "again.mp4").read_bytes() == (tmp_path / "auto.mp4").read_bytes()
