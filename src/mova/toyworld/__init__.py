"""A world of short clips in which every sound has a visible cause at a known time, with exact ground truth.

`sample_scene` draws a scene from a seed, `render` turns it into a clip with caption and events. The detectors find
events again, from pixels alone and from samples alone, in rendered and in generated clips; `score_clip` compares them.
"""

from mova.toyworld.ball import BallScene
from mova.toyworld.detect_audio import HeardEvent
from mova.toyworld.detect_video import SeenEvent, VideoReading
from mova.toyworld.event import Event, countable_until
from mova.toyworld.mallet import MalletScene
from mova.toyworld.pairing import with_notes
from mova.toyworld.render import RenderedClip, first_frame, render
from mova.toyworld.sample import sample_scene, split_seed
from mova.toyworld.scene import Scene
from mova.toyworld.score import ClipScore, score_clip

__all__ = [
    "BallScene",
    "ClipScore",
    "Event",
    "HeardEvent",
    "MalletScene",
    "RenderedClip",
    "Scene",
    "SeenEvent",
    "VideoReading",
    "countable_until",
    "first_frame",
    "render",
    "sample_scene",
    "score_clip",
    "split_seed",
    "with_notes",
]
