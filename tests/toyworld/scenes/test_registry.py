"""A new kind of scene is a class and a line in the registry: everything else asks the scene."""

import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from mova.cli.app import main
from mova.errors import ConfigError
from mova.evaluate.subject import Generated, Shape
from mova.evaluate.toyworld import measure
from mova.toyworld import Event, Scene, render, sample_scene, score_clip
from mova.toyworld.caption import caption
from mova.toyworld.event import SeenEvent
from mova.toyworld.reading.detect_audio import detect_audio
from mova.toyworld.reading.observation import Measures, VideoReading
from mova.toyworld.scenes.registry import DEFAULT_KINDS, SCENES, check_kinds


@dataclass(frozen=True)
class LampScene(Scene):
    """A wall that lights up once, with a knock."""

    kind: ClassVar[str] = "lamp"
    in_default: ClassVar[bool] = False
    held_out: ClassVar = frozenset({("white wall",)})

    time_s: float

    @classmethod
    def sample(cls, seed, rng):
        return cls(
            seed=seed, background=str(rng.choice(["white wall", "grey wall"])), time_s=float(rng.uniform(0.5, 1))
        )

    def events(self, duration_s):
        knock = Event(self.time_s, "flash", 0.5, 0.5, None, "red", "wood", 523.251, 0.5)
        return (knock,) if self.time_s < duration_s else ()

    def draw(self, viewport, times_s):
        level = np.where(times_s < self.time_s, 40, 200).astype(np.uint8)
        return np.broadcast_to(level[:, None, None, None], (len(times_s), viewport.height, viewport.width, 3)).copy()

    def describe(self, video, audio, *, ranked):  # noqa: ARG002 (nothing in a row)
        return f"A {self.background} lights up {('now', 'here', 'there')[video]}.", "The audio has a knock."

    def combinations(self):
        return ((self.background,),)

    @classmethod
    def read(cls, frames, frame_rate):
        bright = np.flatnonzero(frames.mean(axis=(1, 2, 3)) > 120)
        return VideoReading(tuple(SeenEvent(first / frame_rate, 0.5, 0.5, None) for first in bright[:1].tolist()))

    @classmethod
    def hear(cls, waveform, sample_rate):
        return detect_audio(waveform, sample_rate)

    def measure(self, found):
        return Measures(pitch_right=[event.colour for event in found.heard] == ["red"])


@pytest.fixture
def lamp(monkeypatch):
    monkeypatch.setitem(SCENES, LampScene.kind, LampScene)


@pytest.mark.usefixtures("lamp")
def test_a_registered_scene_is_drawn_described_and_measured():
    scene = sample_scene(3, kind="lamp")
    assert caption(scene).endswith("The audio has a knock.")
    score = score_clip(scene, render(scene, size=32).clip)
    assert (score.kind, score.pitch_right, score.order_right, len(score.offsets_ms)) == ("lamp", True, None, 1)
    assert sample_scene(3, kind="lamp", combinations="training").background == "grey wall"
    report = measure(Generated(lambda rendered, _: rendered.clip, 4, 0, ("lamp", "ball"), Shape(size=32)))
    assert list(report.by_kind) == ["ball", "lamp"]
    assert report.by_kind["lamp"]["recall"].value == 1
    assert "| lamp (2) |" in report.to_markdown()


@pytest.mark.usefixtures("lamp")
def test_a_registered_scene_is_written_by_the_command_line(tmp_path):
    render_options = ["--count", "1", "--seed", "5", "--out", str(tmp_path), "--size", "32"]
    assert main(["toyworld", "render", *render_options, "--kind", "lamp"]) == 0
    known = json.loads((tmp_path / "lamp_00000005.json").read_text())
    assert known["scene"]["kind"] == "lamp"
    assert known["events"][0]["kind"] == "flash"
    assert main(["toyworld", "prompt", "--seed", "5", "--kind", "lamp", "--image", str(tmp_path / "first.png")]) == 0


def test_the_default_kinds_are_those_that_mova_tiny_knows():
    assert DEFAULT_KINDS == ("ball", "mallet", "keys", "face", "duet", "balls")
    assert all(kind == scene.kind for kind, scene in SCENES.items())


def test_an_unknown_kind_is_refused_with_the_nearest_one():
    with pytest.raises(ConfigError, match=r"one of ball, mallet, .*, got 'bals'; nearest is balls"):
        check_kinds(("ball", "bals"))
