"""Sentences of the server in Chinese: those that it says are known, and nothing is put into them that is not there."""

import re

import pytest

from mova.conditioning.spec import check_tasks
from mova.errors import ConfigError
from mova.generate.enhance.offline import enhance_offline
from mova.generate.many import Job
from mova.generate.request import ClipOptions
from mova.generate.run import generate_files, make_request
from mova.geometry import ClipGeometry
from mova.media.measures.collapse import Collapse
from mova.serve.page.words_server import CODES, SENTENCES, TERMS
from mova.settings.sampling import GivenSettings, SamplingSettings
from mova.settings.scope import read_scope
from mova.toyworld.asked.ask import ask_scene
from mova.toyworld.asked.lexicon import FOREIGN_COLOURS, FOREIGN_MATERIALS
from mova.weights.dims import dims_from_directory
from mova.weights.locate import find_model, read_defaults

HAN = re.compile(r"[\u4e00-\u9fff]")


def pattern_of(english):
    """Return what the script makes of a sentence."""
    escaped = re.sub(r"[.*+?^$()|\[\]\\]", r"\\\g<0>", english)
    return re.compile(re.sub(r"\{(\w*)\}", lambda one: f"(?P<{one[1]}>.+?)" if one[1] else ".*?", escaped), re.DOTALL)


PATTERNS = [pattern_of(english) for english, _ in SENTENCES]


def is_known(text):
    return any(pattern.fullmatch(text) for pattern in PATTERNS)


@pytest.mark.parametrize(("english", "chinese"), SENTENCES)
def test_a_sentence_takes_over_what_the_other_has(english, chinese):
    parts = set(re.findall(r"\{(\w+)\}", chinese))
    assert parts <= set(re.findall(r"\{(\w+)\}", english))
    assert HAN.search(chinese)


def test_all_codes_and_terms_are_in_chinese():
    assert all(HAN.search(text) for text in (*CODES.values(), *TERMS.values()))


def test_codes_are_those_that_the_server_has():
    from pathlib import Path

    import mova.serve

    folders = [Path(folder) for folder in mova.serve.__path__]
    files = [path for folder in folders for path in folder.rglob("*.py") if path.parent.name != "page"]
    said = "".join(path.read_text() for path in files) + (folders[0].parent / "files" / "guarded.py").read_text()
    assert [code for code in CODES if f'"{code}"' not in said] == []


def test_what_a_model_was_not_trained_for_is_known():
    folder = find_model("mova-tiny")
    scope, codec = read_scope(folder), dims_from_directory(folder).codec
    given = GivenSettings(width=96, height=96, num_frames=29, frame_rate=12.0)
    settings = SamplingSettings.for_model(read_defaults(folder, "mova-tiny"), codec, given)
    found = [*scope.outside("a city", settings), *scope.outside("one city and two dogs in a street", settings)]
    assert len(found) > 7
    assert [text for text in found if not is_known(text)] == []
    assert is_known("a last frame without a first one")
    assert is_known("a first frame in other colours than its own")


def test_what_is_changed_in_a_wording_is_known():
    colours, floors = " ".join(FOREIGN_COLOURS), list(FOREIGN_MATERIALS)[:3]
    wordings = [
        "a city at night",
        "a child writes two digits on a board",
        f"a {colours} ball bounces on {floors[0]} and {floors[1]} and metal in front of a mint wall with a dog",
        "three balls, red, blue and green, bounce",
        "两个球，红色、蓝色和绿色",
        "two red balls bounce on a drum",
        "a mallet strikes red, red, red, green, blue, yellow, purple, red, blue",
        "a mallet strikes nine bars",
        "a mallet strikes one red bar",
        "piano keys play do sharp and re flat, nine notes",
        'a face says "hello world"',
        "two faces with low voices, one says ah",
        "一个橙色的球在石头上弹跳，旁边有一只狗",
        "a purple ball on a drum",
        *(
            f"a {colour} ball on {floor}"
            for colour in ("red", "yellow", "green")
            for floor in ("wood", "metal", "drum")
        ),
    ]
    found = {text for one in map(ask_scene, wordings) for text in (*one.changes, *one.problems)}
    assert len(found) > 15
    assert sorted(text for text in found if not is_known(text)) == []
    offline = [*enhance_offline('a "b').problems, *enhance_offline("word " * 400).problems]
    assert [text for text in offline if not is_known(text)] == []


def test_what_was_moved_is_known():
    from mova.conditioning.spec import Conditions
    from mova.serve.intake.examine import plan_of
    from mova.serve.intake.forms import Asked
    from mova.serve.intake.offer import Offer
    from mova.serve.settings import load_settings

    geometry, offer = ClipGeometry(128, 128, 49), Offer(load_settings())
    found = [str(snap) for snap in Conditions(keyframes=(1.05,)).place(geometry).snaps]
    for seconds in (4.04, 5, 97 / 24):
        found += plan_of(offer.complete(Asked(prompt="a", seconds=seconds, windows="continue"), {}).request, "")[1]
    found += plan_of(offer.complete(Asked(prompt="a", seconds=1, windows="continue"), {}).request, "")[1]
    for moments in ((9.0,), (1.0, 1.01)):
        with pytest.raises(ConfigError) as error:
            Conditions(keyframes=moments).place(geometry)
        found.append(str(error.value))
    assert len(found) == 7
    assert [text for text in found if not is_known(text)] == []


def test_seeds_that_led_to_nothing_are_known(checkpoint, monkeypatch, tmp_path):
    found = [Collapse("flat", 0.5, 9.0), Collapse("frozen", 9.0, 0.5)] * 2
    monkeypatch.setattr("mova.media.measures.collapse.find_collapse", lambda _: found.pop(0))
    small = GivenSettings(height=32, width=48, num_frames=5, num_inference_steps=1, guidance_scale=1.0)
    notes = ["seed 7 gave numbers that are not finite; made again with another"]
    for retries in (1, 0, 0):
        folder, request = make_request(str(checkpoint), ClipOptions(prompt="a", settings=small, retries=retries))
        generate_files([Job(request, tmp_path / f"{len(notes)}.mp4")], folder, on_note=notes.append)
    assert len(notes) == 5
    assert [text for text in notes if not is_known(text)] == []


def test_common_errors_are_known():
    from mova.errors import MovaError

    found = []
    for sizes in ((128, 100, 49), (128, 9999, 49), (128, 128, 48), (128, 128, 99_999)):
        with pytest.raises(MovaError) as error:
            ClipGeometry(*sizes)
        found.append(str(error.value))
    for given in ((True, True, False), (False, True, True)):
        with pytest.raises(MovaError) as error:
            check_tasks(**dict(zip(("has_image", "has_video", "has_audio"), given, strict=True)))
        found.append(str(error.value))
    assert [text for text in found if not is_known(text)] == []
