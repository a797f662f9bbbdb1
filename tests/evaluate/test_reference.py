"""A reference from its folder to the rows of a table, by Cnn14 at tiny size."""

import pytest
import torch

from mova.errors import ConfigError
from mova.evaluate.clips_run import choose_scorers, describe_run, evaluate_clips, make_evaluation, make_plan
from mova.evaluate.folder import open_evaluation
from mova.scorers import registry
from mova.scorers.networks.cnn14 import Cnn14
from mova.scorers.published import audio_classes
from mova.scorers.published.audio_classes import CNN14, AudioClassScorer
from published_networks import WIDTHS, write_weights
from shared_scoring import clip_of, still, tone


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Weights; clips a and b, a reference with a clip of one of these names, and one without audio."""
    made = tmp_path_factory.mktemp("reference")
    for place in ("weights", "clips", "reference", "mute"):
        (made / place).mkdir()
    write_weights(Cnn14(WIDTHS, holds_front_end=True), made / "weights" / CNN14.name)
    for place, name, hertz in (
        ("clips", "a", 440),
        ("clips", "b", 880),
        ("reference", "b", 660),
        ("reference", "c", 990),
    ):
        clip_of(made / place / f"{name}.mp4", sound=tone(hertz, 0.5))
    clip_of(made / "reference" / "d.mp4", still(0.5))
    clip_of(made / "mute" / "a.mp4", still(0.5))
    return made


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(registry, "AudioClassScorer", lambda place: AudioClassScorer(place, WIDTHS))


@pytest.fixture
def plan(folder):
    return make_plan(["cnn14"], str(folder / "weights"))


def kept(request, root, **options):
    with open_evaluation(root) as report:
        found = evaluate_clips(request, report, **options)
        report.write(found.results, {"clips": "clips", **describe_run(request)}, found.paired, found.measured)
    return {row.name: row for row in found.results.rows}


def test_a_reference_is_measured_once_and_stands_in_the_table(folder, plan, tmp_path, monkeypatch):
    request = make_evaluation(folder / "clips", plan, reference=folder / "reference", report=tmp_path / "r")
    told = []
    rows = kept(request, tmp_path / "r", on_reference=lambda *done: told.append(done))
    assert told[-1] == (3, 3)
    assert rows["fd_panns"].estimate.value > 0
    assert "2 of 3 clips of the reference" in rows["fd_panns"].remark
    assert (rows["kl_panns"].estimate.num_clips, rows["kl_panns"].num_total) == (1, 2)
    report = (tmp_path / "r" / "report.md").read_text()
    assert "| fd_panns |" in report
    assert '"num_clips": 3, "measured_before": false' in report
    monkeypatch.setattr(audio_classes, "heard", lambda *_: pytest.fail("it was computed twice"))
    assert kept(request, tmp_path / "r") == rows


def test_a_report_of_other_clips_is_a_reference_and_nothing_is_computed(folder, plan, tmp_path):
    with_audio = make_evaluation(folder / "reference", plan)
    kept(with_audio, tmp_path / "theirs")
    live = kept(make_evaluation(folder / "clips", plan, reference=folder / "reference"), tmp_path / "live")
    # The report of clips that had a reference is theirs, though a clip of the reference has the name of one of them.
    swapped = kept(make_evaluation(folder / "reference", plan, reference=tmp_path / "live"), tmp_path / "swapped")
    assert swapped["fd_panns"].estimate.value == pytest.approx(live["fd_panns"].estimate.value)
    with pytest.raises(ConfigError, match="of which 2 of 2 are among CLIPS"):
        make_evaluation(folder / "clips", plan, reference=tmp_path / "live")
    request = make_evaluation(folder / "clips", plan, reference=tmp_path / "theirs")
    assert request.reference.is_report
    assert kept(request, tmp_path / "r") == live


def test_a_report_of_other_weights_is_refused(folder, plan, tmp_path):
    kept(make_evaluation(folder / "reference", plan), tmp_path / "theirs")
    (tmp_path / "weights").mkdir()
    state = torch.load(folder / "weights" / CNN14.name)
    torch.save({name: 2 * value for name, value in state.items()}, tmp_path / "weights" / CNN14.name)
    with pytest.raises(ConfigError, match="must have been measured with the same weights"):
        make_evaluation(
            folder / "clips", make_plan(["cnn14"], str(tmp_path / "weights")), reference=tmp_path / "theirs"
        )


def test_references_that_are_none_are_refused_before_anything_is_decoded(folder, plan, tmp_path):
    def of(place, **options):
        return make_evaluation(folder / "clips", plan, reference=place, **options)

    with pytest.raises(ConfigError, match="of which 2 of 2 are among CLIPS"):
        of(folder / "clips")
    with pytest.raises(ConfigError, match="where none of 1 has any"):
        of(folder / "mute")
    with pytest.raises(ConfigError, match="needs 1 to 1,000,000 clips, got 0"):
        of(tmp_path)
    with pytest.raises(ConfigError, match="must be a folder of clips or of a report"):
        of(tmp_path / "none")
    with pytest.raises(ConfigError, match="got this report folder"):
        of(tmp_path, report=tmp_path)
    with pytest.raises(ConfigError, match=r"needs a scorer that embeds sounds \(cnn14, audio_tags\), got levels"):
        make_evaluation(folder / "clips", make_plan(["levels"]), reference=folder / "reference")


def test_distances_are_asked_for_by_their_names():
    assert choose_scorers(["fd_yamnet", "kl_panns", "inception_score"]) == ("audio_tags", "cnn14")
