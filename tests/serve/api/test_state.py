"""How the server is, who is logged in, what the model offers and what a clip will cost."""

import pytest

from serve_site import served


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with served(tmp_path_factory.mktemp("site")) as made:
        yield made


def test_the_process_is_well_and_ready_once_a_worker_is(site):
    assert site.ask("GET", "/health") == {"status": "ok"}
    assert site.ask("GET", "/ready", 503)["worker"] == "none"
    for state, status in (("loading", 503), ("idle", 200), ("busy", 200), ("failed", 503), ("ended", 503)):
        site.store.report("hand", state, {"device": "cpu"})
        assert site.client.get("/ready").status_code == status


def test_nobody_needs_a_key_on_this_machine(site):
    said = site.ask("GET", "/v1/session")
    assert (said["needs_key"], said["is_known"], said["is_admin"]) == (False, True, True)
    assert "set-cookie" not in site.client.post("/v1/session", json={"key": "x"}).headers
    assert site.ask("DELETE", "/v1/session")["deleted"]
    for sent in ({"key": 1}, {"keys": "x"}):
        assert site.post("/v1/session", 400, json=sent)["error"]["param"] in ("key", "keys")


def test_the_model_says_what_it_offers(site):
    (model,) = site.ask("GET", "/v1/models")["data"]
    assert model == site.ask("GET", "/v1/models/mova-tiny")
    assert (model["id"], model["object"], model["defaults"]["size"]) == ("mova-tiny", "model", "128x128")
    assert (model["limits"]["size_multiple"], model["limits"]["temporal_stride"]) == ([16, 16], 4)
    assert "ball" in model["scope"]["words"]
    assert model["speeds"] == ["exact", "fast", "fastest"]
    assert site.ask("GET", "/v1/models/other", 404)["error"]["nearest"] == "mova-tiny"


def test_a_plan_says_what_a_clip_costs_before_anybody_asks_for_it(site):
    usual = site.ask("GET", "/v1/plan")
    assert (usual["size"], usual["num_frames"], usual["estimate_from"]) == ("128x128", 49, "operations")
    half = site.ask("GET", "/v1/plan?num_inference_steps=10")
    assert half["operations"] * 2 == usual["operations"]
    assert site.ask("GET", "/v1/plan?speed=fast")["num_inference_steps"] == 10
    assert site.ask("GET", "/v1/plan?seconds=1")["num_frames"] == 25
    assert usual["warnings"] == []
    assert site.ask("GET", "/v1/plan?size=256x256&prompt=zeppelin")["warnings"]
    assert site.ask("GET", "/v1/plan?size=100x100", 400)["error"]["nearest"] == "96 and 112"
    assert site.ask("GET", "/v1/plan?sise=100x100", 400)["error"]["nearest"] == "size"
    assert site.ask("GET", "/v1/plan?seed=1&seed=2", 400)["error"]["param"] == "seed"
    assert site.ask("GET", "/v1/plan?image=data:x", 400)["error"]["code"] == "unknown_field"
    assert site.ask("GET", "/v1/plan?keyframes=[]", 400)["error"]["param"] == "keyframes"


def test_a_plan_of_a_long_clip_is_that_of_its_windows(site):
    usual, long = site.ask("GET", "/v1/plan"), site.ask("GET", "/v1/plan?seconds=5")
    assert (long["num_frames"], long["num_windows"], long["seconds"]) == (121, 3, "5.04")
    assert (long["operations"], long["memory"]) == (3 * usual["operations"], usual["memory"])
    assert long["estimated_s"] > usual["estimated_s"]


def test_a_plan_goes_by_the_clips_that_were_made_here(site):
    made = site.create()["id"]
    site.finish(made)
    assert site.ask("GET", "/v1/plan")["estimated_s"] == 2.0
    double = site.ask("GET", "/v1/plan?num_inference_steps=40")
    assert (double["estimated_s"], double["estimate_from"], double["words"]) == (4.0, "measured", "about 4 seconds")
