"""A world of short clips in which every sound has a visible cause at a known time, with exact ground truth.

`sample_scene` draws a scene from a seed, `render` turns it into a clip with caption and events. The detectors find
events again, from pixels alone and from samples alone, in rendered and in generated clips; `score_clip` compares them.
"""

from mova.toyworld.event import Event, SeenEvent, countable_until
from mova.toyworld.held_out import has_held_out_combination
from mova.toyworld.pairing import with_notes, with_skins
from mova.toyworld.reading.detect_audio import HeardEvent
from mova.toyworld.reading.observation import VideoReading
from mova.toyworld.render import RenderedClip, first_frame, render
from mova.toyworld.sample import sample_scene, split_seed
from mova.toyworld.scenes.ball import BallScene
from mova.toyworld.scenes.balls import BallsScene
from mova.toyworld.scenes.duet import DuetScene
from mova.toyworld.scenes.face import FaceScene
from mova.toyworld.scenes.keys import KeysScene
from mova.toyworld.scenes.mallet import MalletScene
from mova.toyworld.scenes.registry import BASIC_KINDS, DEFAULT_KINDS, SCENES
from mova.toyworld.scenes.scene import Scene
from mova.toyworld.score import ClipScore, score_clip

__all__ = [
    "BASIC_KINDS",
    "DEFAULT_KINDS",
    "SCENES",
    "BallScene",
    "BallsScene",
    "ClipScore",
    "DuetScene",
    "Event",
    "FaceScene",
    "HeardEvent",
    "KeysScene",
    "MalletScene",
    "RenderedClip",
    "Scene",
    "SeenEvent",
    "VideoReading",
    "countable_until",
    "first_frame",
    "has_held_out_combination",
    "render",
    "sample_scene",
    "score_clip",
    "split_seed",
    "with_notes",
    "with_skins",
]
