"""What is said of jobs."""

import pytest

from mova.serve.api.replies import STATUSES, list_of, plain_seconds
from mova.serve.jobs.records import JobError, JobState
from serve_site import served


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with served(tmp_path_factory.mktemp("site")) as made:
        yield made


def test_every_state_has_a_status_that_openai_knows():
    assert set(STATUSES) == set(JobState)
    assert set(STATUSES.values()) == {"queued", "in_progress", "completed", "failed"}


@pytest.mark.parametrize(("seconds", "text"), [(8.0, "8"), (49 / 24, "2.04"), (0.5, "0.5"), (120.0, "120")])
def test_seconds_are_written_as_openai_writes_them(seconds, text):
    assert plain_seconds(seconds) == text


def test_an_empty_list_has_no_ends():
    assert list_of([], has_more=False) == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


def test_progress_is_whole_only_once_the_clip_is_there(site):
    made = site.create()["id"]
    site.begin(made)
    site.progress(made, "writing", 10, 10)
    said = site.ask("GET", f"/v1/videos/{made}")
    assert (said["progress"], said["stage"], said["stage_done"], said["left_s"]) == (99, "writing", 10, 3.0)
    site.store.release(made, "hand")
    site.finish(made)
    said = site.ask("GET", f"/v1/videos/{made}")
    assert (said["progress"], said["stage"], said["left_s"]) == (100, None, None)


def test_the_window_of_a_long_clip_is_said_while_it_is_made(site):
    made = site.create(num_frames=97, num_inference_steps=4)["id"]
    site.begin(made)
    seen = []
    for done in (0, 3, 4, 11, 12):
        site.progress(made, "sampling", done, 12)
        said = site.ask("GET", f"/v1/videos/{made}")
        seen.append((said["window"], said["num_windows"]))
    assert seen == [(1, 3), (1, 3), (2, 3), (3, 3), (3, 3)]
    site.progress(made, "writing", 0, 1)
    assert site.ask("GET", f"/v1/videos/{made}")["window"] is None
    names = {"video": site.artifacts.made_by(made, 1, "video", "mp4")}
    assert site.store.finish(made, "hand", names, {"ended": "the clip ends at 2.000 s"})
    assert "the clip ends at 2.000 s" in site.ask("GET", f"/v1/videos/{made}")["warnings"]


def test_a_failure_says_why(site):
    made = site.create()["id"]
    site.begin(made)
    site.store.fail(made, "hand", JobError("out_of_memory", "Memory ran out."))
    said = site.ask("GET", f"/v1/videos/{made}")
    assert (said["status"], said["error"]) == ("failed", {"code": "out_of_memory", "message": "Memory ran out."})


def test_a_clip_of_a_former_model_is_still_shown(site):
    made = site.create()["id"]
    with site.store.database.writing() as run:
        run.run(
            "UPDATE jobs SET clip_order = :order WHERE id = :id",
            id=made,
            order='{"prompt": "a", "seed": 1, "model": "other", "settings": {"width": 72}}',
        )
    said = site.ask("GET", f"/v1/videos/{made}")
    assert (said["model"], said["size"], said["settings"]) == ("other", None, {"width": 72})
    assert site.post(f"/v1/videos/{made}/duplicate", 400)["error"]["code"] == "wrong_model"
