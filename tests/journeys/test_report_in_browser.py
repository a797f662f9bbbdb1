"""The report of a curation in a browser: it opens from the disk, plays, sorts, and is there for everyone."""

import numpy as np
import pytest

from curated_tables import FACTS, caption, clip_batches, clip_row, rejected_row, source_batches, source_row
from fixtures_browser import DESK, PHONE
from mova.curate.report.gather import gather
from mova.curate.report.write import write_page
from mova.media.write import write_clip
from mova.types import Clip

pytestmark = pytest.mark.services

EVIL = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
PLAY = """
async (video) => {
    await video.play();
    await new Promise((resolve) => {
        video.addEventListener("timeupdate", () => video.currentTime > 0.2 && resolve());
    });
    return {played: video.currentTime, muted: video.muted, sound: video.webkitAudioDecodedByteCount};
}
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp('a run\'s "folder" #1')
    rng = np.random.default_rng(0)
    paths = ["clips/00/kept.mp4", 'clips/11/it\'s 100% "odd" <b> #1 ü.mp4']
    for number, path in enumerate(paths):
        frames = np.full((49, 96, 160, 3), 40 + 100 * number, np.uint8)
        frames[:, 30:60, 50:90] = np.arange(49, dtype=np.uint8)[:, None, None, None] * 4
        waveform = 0.3 * np.sin(2 * np.pi * 440 * np.arange(98_000) / 48_000, dtype=np.float32)[None]
        (folder / path).parent.mkdir(parents=True)
        write_clip(folder / path, Clip(frames, waveform, 24.0, 48_000), preset="ultrafast")
    rows = [
        clip_row(
            number,
            path=paths[0],
            silence_share=float(rng.beta(1, 5)),
            bandwidth_hz=float(rng.lognormal(9, 0.5)),
            kind=("single_speech", "multi_speech", "single_non_speech")[number % 3],
            uri=f"day {number % 7}/{EVIL}.mov",
            captions={"merged": caption(f"{EVIL} " + "A man walks along a street. " * 20)},
            marks=["merge_failed"] if number % 9 == 0 else [],
        )
        for number in range(40)
    ]
    rows += [rejected_row(number, "silence_share", "bandwidth_hz", path=paths[1]) for number in range(40, 50)]
    rows += [rejected_row(number, "bandwidth_hz", path=paths[1], kind="multi_speech") for number in range(50, 70)]
    rows += [clip_row(70, stage="cut", state="failed", reasons=["verification: 192 frames"], path="", uri=EVIL)]
    sources = [source_row(f"{number}.mov", 900.0) for number in range(7)]
    sources += [source_row(EVIL, 0.0, "failed", [f"corrupt_media: {EVIL}"])]
    write_page(folder / "report.html", gather(source_batches(sources), lambda _: iter(clip_batches(rows)), FACTS))
    return folder / "report.html"


def test_it_opens_from_the_disk_asks_nobody_and_complains_of_nothing(visit, report):
    seen = visit(report)
    seen.page.wait_for_function("[...document.querySelectorAll('video')].every((video) => video.readyState >= 1)")
    assert seen.complaints == []
    assert {address.partition(":")[0] for address in seen.requests} == {"file"}
    assert seen.page.title() == "Report of a curation", "no script of a stranger has run"
    assert seen.page.locator("img").count() == 0


@pytest.mark.parametrize("state", ["kept", "rejected"])
def test_clips_play_with_audio(visit, report, state):
    page = visit(report).page
    found = page.locator(f"video[aria-label^={state}]").first.evaluate(PLAY)
    assert found["played"] > 0.2
    assert not found["muted"]
    assert found["sound"] > 0


def test_one_clip_plays_at_a_time(visit, report):
    page = visit(report).page
    videos = page.locator("video")
    videos.nth(0).evaluate(PLAY)
    videos.nth(1).evaluate(PLAY)
    assert videos.nth(0).evaluate("(video) => video.paused || video.ended")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_it_is_there_for_everyone(visit, report, size, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = visit(report, size, color_scheme=scheme).page
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0], "it scrolls sideways"
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) < 200) == (scheme == "dark")


def test_tables_sort_by_mouse_and_by_keyboard(visit, report):
    page = visit(report).page
    table = page.locator("table", has_text="Windows by kind")
    numbers = table.locator("tbody tr td:nth-child(2)")
    heading = table.get_by_role("button", name="Windows")
    heading.click()
    up = [int(text) for text in numbers.all_inner_texts()]
    assert up == sorted(up)
    heading.focus()
    page.keyboard.press("Enter")
    assert [int(text) for text in numbers.all_inner_texts()] == up[::-1]
    assert table.locator("th[aria-sort=descending]").count() == 1


def test_the_keyboard_reaches_the_contents_first(visit, report):
    page = visit(report).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the contents"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0, "it is seen when it has the focus"


def test_without_scripts_everything_is_there_but_the_sorting(visit, report):
    page = visit(report, java_script_enabled=False).page
    assert page.locator("section").count() == 7
    assert page.locator("video").count() == 20
    assert page.locator("thead button").count() == 0
