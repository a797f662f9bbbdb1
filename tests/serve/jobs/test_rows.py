"""Jobs as rows, and back."""

from mova.serve.jobs.records import NO_PROGRESS, ClipOrder, Progress
from mova.serve.jobs.rows import TABLES, haystack, of_order, progress_values
from serve_kit import order


def test_every_revision_has_its_file():
    assert sorted(path.name[1:5] for path in TABLES.versions.glob("r*.py")) == list(TABLES.revisions)


def test_an_order_is_a_text_and_back():
    given = order("“a”", settings={"height": 64, "guidance_interval": [0.1, 0.5]}, inputs={"audio": "b"}, seed=2**60)
    columns = of_order(given)
    assert ClipOrder.from_json(columns["clip_order"]) == given
    assert columns["model"] == "tiny"
    assert columns["batch_key"] == ""


def test_what_is_searched_is_text_for_every_database():
    assert haystack("video_0", order("A\0B \ud800")) == "video_0\na b ?\n\n"


def test_later_prompts_of_a_clip_are_searched_too():
    given = order("a ball", long={"length_s": 4.0, "prompts_at": [[2.0, "A Zeppelin"]]})
    assert "a zeppelin" in haystack("video_0", given)


def test_a_time_that_is_not_known_is_no_column():
    assert "left_s" not in progress_values(NO_PROGRESS)
    assert progress_values(Progress("sampling", 1, 2, 50.0, 3.0))["left_s"] == 3.0
