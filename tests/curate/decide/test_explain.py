"""Every gate says of a clip what it found."""

from itertools import pairwise

import pytest

from mova.curate.config.verdicts import Gate
from mova.curate.decide.explain import explain_clip
from mova.curate.runner import run_all
from mova.curate.tables import iter_clips
from mova.errors import DataError
from shared_curation import toy_run, write_sources

GATES = (
    Gate(score="loudness", above=0.5),
    Gate(score="sharpness", min=0.0),
    Gate(any=(Gate(score="dover_technical", above=0.05), Gate(score="imagebind", min=0.2))),
    Gate(tags=("speech",)),
)


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain")
    run_all(toy_run(write_sources(folder / "in", 8), folder / "out", gates=GATES))
    return folder / "out"


def test_gates_are_explained_with_what_was_measured(output):
    for clip in iter_clips(output / "clips.parquet"):
        told = explain_clip(output, clip.clip_id)
        assert told.clip == clip
        if not clip.scores:
            assert told.gates == ()
            continue
        loudness, sharpness, choice, tags = told.gates
        assert loudness.says == ("met" if clip.scores["loudness"].value > 0.5 else "not met")
        assert loudness.measured == {"loudness": f"{clip.scores['loudness'].value:.6g}"}
        assert sharpness.says == ("not applicable" if clip.scores["sharpness"].value is None else "met")
        assert choice.says == "not applied"
        assert choice.measured == {
            "dover_technical": "skipped: weights: dover.pth",
            "imagebind": "no scorer of this run measures it",
        }
        assert tags.says == ("met" if "speech" in clip.tags else "not met")
        assert told.lines()[0].startswith(f"{clip.clip_id}: {clip.state}")
        assert told.as_json()["stage"] == told.stage


def test_gates_on_the_same_thing_are_explained_each_by_itself(tmp_path):
    gates = (
        Gate(score="loudness", above=0.5),
        Gate(score="loudness", max=1e6),
        Gate(tags=("speech",), rule="none"),
        Gate(tags=("no such tag",), rule="none"),
        Gate(any=(Gate(score="loudness", above=2e6), Gate(score="sharpness", above=2e6))),
        Gate(any=(Gate(score="loudness", above=-1e6), Gate(score="sharpness", above=2e6))),
    )
    run_all(toy_run(write_sources(tmp_path / "in", 4), tmp_path / "out", gates=gates))
    said = set()
    for clip in iter_clips(tmp_path / "out" / "clips.parquet"):
        views = explain_clip(tmp_path / "out", clip.clip_id).gates
        if views:
            assert [view.says for view in views[1::2]] == ["met", "met", "met"]
            assert views[4].says == "not met"
            said |= {view.says for view in views[:4:2]}
    assert said == {"met", "not met"}


def test_a_clip_is_named_by_the_beginning_of_its_id_or_its_file(output):
    clip = next(clip for clip in iter_clips(output / "clips.parquet") if clip.path)
    assert explain_clip(output, clip.clip_id[:13]).clip == clip
    assert explain_clip(output, f"somewhere/{clip.path}").clip == clip
    with pytest.raises(DataError, match="none has an id that begins with 'zz'"):
        explain_clip(output, "zz")
    ids = sorted(clip.clip_id[0] for clip in iter_clips(output / "clips.parquet"))
    twice = next(one for one, other in pairwise(ids) if one == other)
    with pytest.raises(DataError, match="a beginning that no other has"):
        explain_clip(output, twice)
