"""What scorers that read files have in common."""

from pathlib import Path

from mova.scorers.base import Direction, Findings, Measure, Needs, Score
from mova.scorers.by_file.scorer import FileScorer


class Named(FileScorer):
    """Finds how long the name of its folder is."""

    name = "named"
    measures = (Measure("length", "", Direction.NEITHER, "Length of a name."),)
    needs = Needs(frames=True)

    def find(self, clip, folder):
        if clip is None:
            raise ValueError("there is no clip")
        return Findings({"length": Score(float(len(folder.name)))})


def test_each_clip_is_looked_at_with_the_folder_and_one_fault_is_the_clips_own():
    good, bad = Named(Path("weights")).score(["a clip", None])
    assert good.scores["length"].value == 7
    assert bad.scores["length"].reason == "failed: ValueError: there is no clip"


def test_without_a_folder_no_clip_has_a_value():
    (found,) = Named(None).score(["a clip"])
    assert found.scores["length"].reason == "failed: FileNotFoundError: no folder of weights is named"
