"""Clips of the toy world by seed; nothing is stored but what is asked for."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from mova.data.config import ToyDataConfig
from mova.data.sources.base import ClipEntry, RawClip, Split, digest
from mova.toyworld import render, sample_scene, split_seed, with_notes, with_skins
from mova.toyworld.caption import caption, draw_wording
from mova.toyworld.scenes.scene import Scene

FRAME_RATE = 24.0
SAMPLE_RATE = 16_000
# Raised whenever the same scene is drawn or sounds differently, so that encoded clips are made anew.
RENDERING = 1


@dataclass
class ToySource:
    """A split of the toy world.

    Args:
        data: scenes, number, size, length.
        split: training and validation share no seed.
        sample_rate: sample rate of the audio in Hz.
    """

    data: ToyDataConfig
    split: Split
    sample_rate: int = SAMPLE_RATE
    frame_rate: float = FRAME_RATE
    entries: tuple[ClipEntry, ...] = field(init=False)

    def __post_init__(self) -> None:
        count = self.data.num_clips if self.split == "train" else self.data.validation_clips
        self.sizes = ((self.data.size, self.data.size),)
        self.num_frames = self.data.num_frames
        self.entries = tuple(self._entry(index) for index in range(count))

    def scene(self, index: int) -> Scene:
        """Return the scene of an entry."""
        data = self.data
        scene = sample_scene(split_seed(self.split, index), kinds=data.kinds, combinations=data.combinations)
        if data.skins:
            scene = with_skins(scene, data.skins)
        return with_notes(scene, data.notes) if data.notes else scene

    def caption(self, index: int) -> str:
        """Return the caption of an entry."""
        scene = self.scene(index)
        wording = draw_wording(scene.seed, self.data.paraphrases)
        return caption(scene, ranked=self.data.ranked_captions, wording=wording)

    def load(self, index: int, start_s: float | None = None) -> RawClip:  # noqa: ARG002 (scenes are rendered whole)
        """Render an entry."""
        clip = render(
            self.scene(index),
            size=self.data.size,
            num_frames=self.num_frames,
            frame_rate=self.frame_rate,
            sample_rate=self.sample_rate,
        ).clip
        assert clip.waveform is not None, "every scene has audio"
        return RawClip(clip.frames, clip.waveform, len(clip.frames), ((0, clip.waveform.shape[1]),))

    def random_start(self, index: int, draw: float) -> float:  # noqa: ARG002
        """Scenes begin at their beginning."""
        return 0.0

    def _entry(self, index: int) -> ClipEntry:
        scene = self.scene(index)
        facts = json.dumps(scene.to_dict(), sort_keys=True)
        shape = (self.data.size, self.num_frames, self.frame_rate, self.sample_rate)
        name = f"{scene.kind} {scene.seed}"
        return ClipEntry(name, name, digest("toy", RENDERING, facts, *shape), self.caption(index))
