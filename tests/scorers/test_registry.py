"""Scorers by name, and what a set of them answers whatever goes wrong."""

from dataclasses import dataclass

import numpy as np
import pytest

from mova.errors import ConfigError
from mova.scorers import registry
from mova.scorers.base import SKIPPED, Direction, Findings, Measure, Needs, Score, WeightsFile
from mova.scorers.front_ends.clip_starts import Spacing
from mova.scorers.published.quirks import MOVA_QUIRKS, NO_QUIRKS
from mova.scorers.registry import (
    SCORER_NAMES,
    ScorerSet,
    ScorerSettings,
    all_measures,
    all_spaces,
    check_measure,
    make_scorers,
)
from shared_scoring import clip_of, still, tone

PROMISED = (
    "silence_share",
    "loudness_lufs",
    "clipping_share",
    "dc_offset",
    "bandwidth_hz",
    "spectral_bandwidth_hz",
    "phase_correlation",
    "dnsmos_p808",
    "dnsmos_sig",
    "dnsmos_bak",
    "dnsmos_ovrl",
    "plcmos",
    "speech_share",
    "singing_share",
    "music_share",
    "black_share",
    "freeze_share",
    "blur",
    "blockiness",
    "spatial_information",
    "temporal_information",
    "motion",
    "text_area",
    "av_align",
    "onset_motion_correlation",
    "dover_aesthetic",
    "dover_technical",
    "audiobox_ce",
    "audiobox_cu",
    "audiobox_pc",
    "audiobox_pq",
    "imagebind",
    "desync",
    "lse_d",
    "lse_c",
    "lip_offset_s",
)
NO_NEEDS = Needs()


@dataclass(frozen=True)
class Fixed:
    """Gives 1 for each clip, and raises for clips of a name."""

    name: str = "fixed"
    bad: str = "nothing"
    needs: Needs = NO_NEEDS
    measures: tuple[Measure, ...] = (Measure("one", "", Direction.HIGHER, "One."),)

    def score(self, clips):
        if any(clip.path.stem == self.bad for clip in clips):
            raise RuntimeError("too much")
        return [Findings({"one": Score(1.0)}, tags=("seen", "heard"), texts=("word",)) for _ in clips]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    return [clip_of(folder / f"{name}.mp4", still(0.5), tone(440, 0.5)) for name in "abc"]


def test_every_measure_that_recipes_may_name_is_there_once():
    names = [measure.name for measure in all_measures()]
    assert set(PROMISED) <= set(names)
    assert len(set(names)) == len(names)
    assert all(measure.meaning.endswith(".") for measure in all_measures())


def test_every_embedding_has_a_name_of_its_own_and_a_measure_that_tells_why_there_is_none():
    spaces = all_spaces()
    widths = {"yamnet": 1024, "yamnet_logits": 521, "open_nsfw": 1024, "ge2e": 256}
    widths |= {"cnn14": 2048, "cnn14_logits": 527, "imagebind_video": 1024, "imagebind_audio": 1024}
    assert {space.name: space.width for space in spaces} == widths
    assert {space.measure for space in spaces} <= {measure.name for measure in all_measures()}
    assert make_scorers(["levels", "nsfw"]).spaces == spaces[3:4]


def test_an_unknown_name_is_an_error_that_names_the_nearest():
    with pytest.raises(ConfigError, match=r"got 'levles'; did you mean levels\?"):
        make_scorers(["levles"])
    with pytest.raises(ConfigError, match="got 'levels' 2 times"):
        make_scorers(["levels", "levels"])
    with pytest.raises(ConfigError, match=r"got 'silence_shere'; did you mean silence_share\?"):
        check_measure("silence_shere")
    assert check_measure("plcmos").unit == "MOS"


def test_scorers_are_applied_in_one_order_however_they_are_named():
    assert make_scorers(["motion", "levels"]).measures == make_scorers(["levels", "motion"]).measures
    assert make_scorers([]).measures == ()


def test_weights_that_nobody_has_are_a_reason_with_file_source_and_licence(clips):
    names = [name for name in SCORER_NAMES if name in ("dover", "audiobox", "imagebind", "synchformer", "syncnet")]
    (found,) = make_scorers(names).score(clips[:1])
    assert len(found.scores) == 13
    assert all(score.reason.startswith(SKIPPED[0]) for score in found.scores.values())
    assert found.scores["dover_technical"].reason == (
        "skipped: weights: DOVER.pth, from VQAssessment/DOVER, release 0.1, licence: S-Lab 1.0, non-commercial"
    )


def test_quirks_of_the_reference_reach_the_scorers_that_have_them(monkeypatch):
    given = {}
    for name in ("ClapScorer", "DesyncScorer", "ImageBindScorer", "LevelScorer", "SpeechQualityScorer"):
        monkeypatch.setattr(
            registry, name, lambda *args, name=name, **options: given.update({name: (*args, options)}) or Fixed(name)
        )
    for quirks in (NO_QUIRKS, MOVA_QUIRKS):
        names = ["levels", "speech_quality", "clap", "imagebind", "synchformer"]
        make_scorers(names, ScorerSettings(quirks=quirks))
        assert given["LevelScorer"] == ({"is_mono": quirks.mono_loudness},)
        assert given["SpeechQualityScorer"] == ({"of_all": quirks.dnsmos_of_all_sounds},)
        assert given["ClapScorer"] == (None, {"hears_32_khz": quirks.clap_32_khz})
        assert given["DesyncScorer"] == (None, quirks, {})
        assert given["ImageBindScorer"] == (None, quirks, Spacing.THIRDS, {})


def test_a_damaged_file_of_weights_is_a_reason_too(clips, tmp_path):
    (tmp_path / "DOVER.pth").write_bytes(b"weights")
    (found,) = make_scorers(["dover"], ScorerSettings(weights=tmp_path)).score(clips[:1])
    assert "must be a whole file of torch.save" in found.scores["dover_technical"].reason


def test_a_clip_that_a_scorer_raises_for_does_not_take_the_others_along(clips):
    found = ScorerSet([Fixed(bad="b")]).score(clips)
    assert [one.scores["one"].reason for one in found] == ["", "failed: RuntimeError: too much", ""]


def test_a_file_that_breaks_off_fails_in_each_measure_and_alone(clips, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(clips[0].path.read_bytes()[:700])
    found = make_scorers(["levels", "motion"]).score([clips[0], type(clips[0])(broken)])
    assert all(
        score.value is not None or "one channel" in score.reason or "shorter" in score.reason
        for score in found[0].scores.values()
    )
    assert all(score.reason.startswith("failed: ReadError") for score in found[1].scores.values())


def test_missing_packages_and_measures_have_reasons(clips):
    absent = Fixed(needs=Needs(packages=("no_such_module",)))
    assert ScorerSet([absent]).score(clips[:1])[0].scores["one"].reason == (
        "skipped: package: no_such_module of the extra `curate`"
    )
    two = Fixed(measures=(*Fixed.measures, Measure("two", "", Direction.LOWER, "Two.")))
    assert ScorerSet([two]).score(clips[:1])[0].scores["two"].reason == "failed: fixed said nothing of it"


def test_findings_of_several_scorers_are_put_together(clips):
    other = Fixed("other", measures=(Measure("two", "", Direction.LOWER, "Two."),))
    (found,) = ScorerSet([Fixed(), other]).score(clips[:1])
    assert (found.tags, found.texts) == (("seen", "heard"), ("word", "word"))
    assert list(found.scores) == ["one", "two"]
    assert ScorerSet([]).score(clips) == [Findings({})] * 3


def test_files_of_weights_are_told_apart_by_their_digests(tmp_path):
    file = WeightsFile("net.bin", "somewhere", "MIT", sha256="0" * 64)
    scorers = ScorerSet([Fixed(needs=Needs(weights=(file,)))], tmp_path)
    assert scorers.weights_sha256 == {}
    (tmp_path / "net.bin").write_bytes(b"other")
    with pytest.raises(ConfigError, match=r"net\.bin must be the file of somewhere with SHA-256 0000"):
        _ = ScorerSet([Fixed(needs=Needs(weights=(file,)))], tmp_path).weights_sha256


def test_frames_that_are_wanted_once_are_not_held(clips):
    clip = clips[0]
    assert clip.frames(short_side=48, hold=False) is not clip.frames(short_side=48, hold=False)
    held = clip.frames(short_side=48)
    clip.let_go()
    again = clip.frames(short_side=48)
    assert again is not held
    assert np.array_equal(again, held)
