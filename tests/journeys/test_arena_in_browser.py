"""The page of an arena in a browser: two clips in step, votes by keyboard and by touch, on a desk and on a phone."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from arena_kit import MODELS, copy_arena, drawn_votes, serving, template
from fixtures_browser import DESK, PHONE
from mova.evaluate.arena.ratings.summary import summarise
from mova.evaluate.arena.records import Answer, Criterion, Watch
from mova.evaluate.arena.report.page import arena_page
from mova.evaluate.arena.voting import Rules

pytestmark = pytest.mark.services

IS_WATCHED = "document.getElementById('heard').textContent === 'Both watched'"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return template(tmp_path_factory.mktemp("seen"), num_prompts=2, models=MODELS[:2], frames=24, size=(180, 320))


@pytest.fixture
def served(made, tmp_path):
    with serving(copy_arena(made, tmp_path / "arena"), Rules(votes_per_minute=1000)) as (port, store):
        yield f"http://127.0.0.1:{port}/", store


def until(page, expression):
    """Wait for something; the policy of the page forbids playwright's own way, which evaluates a text in it."""
    for _ in range(6000):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"{expression}; the page says {page.locator('#status').inner_text()!r}")


def opened(visit, served, name="Ida", size=DESK, **options):
    address, store = served
    seen = visit(f"{address}#{store.add_rater(name, 0.0)}", size, **options)
    seen.page.wait_for_selector("#pair:not([hidden])")
    return seen


def test_a_vote_by_keyboard_alone(visit, served):
    seen = opened(visit, served)
    page = seen.page
    assert "#" not in page.url, "the secret has left the address"
    assert page.locator("#prompt").inner_text().startswith("a ")
    assert page.locator("#send").is_disabled()
    page.keyboard.press("Space")
    until(page, "!document.getElementById('left').paused && !document.getElementById('right').paused")
    until(page, IS_WATCHED)
    for key in ("ArrowLeft", "ArrowRight", "t", "b", "ArrowDown"):
        page.keyboard.press(key)
    assert page.locator("#send").is_enabled()
    first = page.locator("#left").get_attribute("src")
    page.keyboard.press("Enter")
    until(page, f"document.getElementById('left').getAttribute('src') !== {first!r}")
    assert page.locator("#status").inner_text() == "Saved."
    (kept,) = served[1].votes()
    assert list(kept.answers.values()) == [Answer.LEFT, Answer.RIGHT, Answer.TIE, Answer.BOTH_BAD, Answer.TIE]
    assert (kept.watched_left, kept.watched_right, kept.replays, kept.marks) == (True, True, 0, ())
    assert seen.complaints == []
    assert {address.split("/")[2] for address in seen.requests} == {served[0].split("/")[2]}
    words = page.content()
    assert not [model for model in MODELS if model in words or any(model in address for address in seen.requests)]


def test_one_sound_at_a_time_and_replays_are_counted(visit, served):
    page = opened(visit, served).page
    muted = "[document.getElementById('left').muted, document.getElementById('right').muted]"
    assert page.evaluate(muted) == [False, True]
    page.keyboard.press("s")
    assert page.evaluate(muted) == [True, False]
    page.keyboard.press("Space")
    until(page, IS_WATCHED)
    page.keyboard.press("r")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    until(page, "document.getElementById('status').textContent === 'Saved.'")
    (kept,) = served[1].votes()
    assert (kept.answers, kept.replays) == ({Criterion.OVERALL: Answer.RIGHT}, 1)


def test_a_vote_survives_a_server_that_is_away_and_a_page_that_is_loaded_again(visit, served):
    page = opened(visit, served).page
    page.keyboard.press("Space")
    until(page, IS_WATCHED)
    page.keyboard.press("ArrowLeft")
    # The whole network, and not one address: a route that is not yet in force lets the vote through.
    page.context.set_offline(True)
    page.keyboard.press("Enter")
    until(page, "document.getElementById('status').textContent.includes('nothing is lost')")
    assert served[1].votes() == []
    page.context.set_offline(False)
    page.reload()
    until(page, "document.getElementById('status').textContent === 'Saved.'")
    assert len(served[1].votes()) == 1


def test_a_pair_that_does_not_play_can_be_skipped(visit, served):
    seen = visit(f"{served[0]}#nothing")
    seen.page.route("**/media/**", lambda route: route.abort())
    seen.page.goto("about:blank")
    seen.page.goto(f"{served[0]}#{served[1].add_rater('Ida', 0.0)}")
    seen.page.wait_for_selector("#skip:not([hidden])")
    first = seen.page.locator("#left").get_attribute("src")
    seen.page.locator("#skip").click()
    until(seen.page, f"document.getElementById('left').getAttribute('src') !== {first!r}")
    assert served[1].votes() == []


def test_by_touch_on_a_phone_until_nothing_is_left(visit, served):
    page = opened(visit, served, size=PHONE, has_touch=True, is_mobile=True).page
    for _ in range(2):
        page.wait_for_selector("#pair:not([hidden])")
        page.locator("#play").tap()
        until(page, IS_WATCHED)
        page.locator("[data-criterion=overall] [data-answer=both_bad]").tap()
        before = page.locator("#left").get_attribute("src")
        page.locator("#send").tap()
        until(page, f"document.getElementById('left').getAttribute('src') !== {before!r}")
    page.wait_for_selector("#pair", state="hidden")
    assert "every pair there is" in page.locator("#message").inner_text()
    assert len(served[1].votes()) == 2


def test_without_a_link_it_says_what_is_missing(visit, served):
    page = visit(served[0]).page
    until(page, "document.getElementById('message').textContent.includes('needs a link')")
    assert page.locator("#pair").is_hidden()
    assert page.locator("video[src]").count() == 0


def test_where_watching_is_recorded_a_vote_may_come_first(visit, made, tmp_path):
    with serving(copy_arena(made, tmp_path / "arena"), Rules(watch=Watch.RECORDED)) as (port, store):
        page = opened(visit, (f"http://127.0.0.1:{port}/", store)).page
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Enter")
        until(page, "document.getElementById('status').textContent === 'Saved.'")
        (kept,) = store.votes()
        assert [str(mark) for mark in kept.marks] == ["fast", "unwatched"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE])
def test_it_is_there_for_everyone(visit, served, size, scheme):
    page = opened(visit, served, size=size, color_scheme=scheme).page
    until(page, "[...document.querySelectorAll('video')].every((video) => video.readyState >= 2)")
    page.keyboard.press("ArrowLeft")
    page.evaluate("document.getElementById('prompt').textContent = 'a red ball that rolls, '.repeat(60)")
    assert page.evaluate("document.querySelector('.asked').clientHeight < innerHeight / 3"), "clips are in sight"
    found = Axe().run(page)
    assert [one["id"] for one in found.response["violations"]] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is cut off at the side"


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_the_report_is_there_for_everyone(visit, tmp_path, size):
    votes = drawn_votes(300, {"a model": 1100, "another": 1000, "a third one, with a long name": 900})
    names = ("a model", "another", "a third one, with a long name", "unseen")
    (tmp_path / "report.html").write_text(arena_page(summarise(votes, names, title="Balls", num_bootstraps=20)))
    seen = visit(tmp_path / "report.html", size)
    assert seen.complaints == []
    assert [one["id"] for one in Axe().run(seen.page).response["violations"]] == []
    assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
