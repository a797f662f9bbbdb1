"""The bouncing ball: a coloured ball falls on a floor of wood, metal or drum skin and bounces.

The first frame shows height, colour, size and floor, so that the first landing is known from it. How much speed a
bounce keeps is shown and told nowhere: every later bounce is known only by agreement of picture and sound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from mova.toyworld.draw import Viewport, discs, fill_below, paint, vertical_gradient
from mova.toyworld.event import LAST_EVENT_S, REFERENCE_DURATION_S, Event
from mova.toyworld.scenes.scene import Scene
from mova.toyworld.vocabulary import (
    BACKGROUND_RGB,
    BALL_RADIUS,
    COLOUR_RGB,
    COLOURS,
    FLOOR_EDGE_RGB,
    FLOOR_RGB,
    HEIGHT_WORDS,
    MATERIALS,
    pitch_hz,
)

FloatArray = NDArray[np.float64]

GRAVITY: Final = 7.0  # frame sizes per second squared
FLOOR_Y: Final = 0.86
FLOOR_EDGE: Final = 0.025
DROP: Final = (0.3, 0.6)
RESTITUTION: Final = (0.82, 0.92)
START_X: Final = (0.2, 0.8)
END_X: Final = (0.12, 0.88)  # after the reference length; no ball is cut by the frame's border
MAX_SPEED_X: Final = 0.1
# Below this speed the ball lies still; without an end the contact times would converge and never stop.
MIN_IMPACT_SPEED: Final = 0.35
FULL_LEVEL_SPEED: Final = (2 * GRAVITY * DROP[1]) ** 0.5
FULL_LEVEL: Final = 0.72
LEVEL_EXPONENT: Final = 0.7
MIN_LEVEL: Final = 0.36 * FULL_LEVEL  # 9 dB below the loudest


@dataclass(frozen=True)
class BallScene(Scene):
    """A ball that is let go at time 0.

    Attributes:
        colour: of the ball; decides the pitch.
        material: of the floor; decides the timbre.
        size: a key of `BALL_RADIUS`.
        drop: distance from the ball's lowest point to the floor at the start.
        start_x: of the centre.
        speed_x: constant, per second.
        restitution: share of the vertical speed that a bounce keeps.
        note: colour whose note the ball sounds; None is its own. See `mova.toyworld.pairing`.
    """

    kind: ClassVar[str] = "ball"

    colour: str
    material: str
    size: str
    drop: float
    start_x: float
    speed_x: float
    restitution: float
    note: str | None = None

    @property
    def sounding_colour(self) -> str:
        """The colour whose note is heard."""
        return self.note or self.colour

    @property
    def radius(self) -> float:
        """Of the ball."""
        return BALL_RADIUS[self.size]

    @property
    def rest_y(self) -> float:
        """Height of the centre while the ball touches the floor."""
        return FLOOR_Y - self.radius

    @property
    def height_word(self) -> str:
        """low, medium or high: the third of the range of drops."""
        third = int(3 * (self.drop - DROP[0]) / (DROP[1] - DROP[0]))
        return HEIGHT_WORDS[min(max(third, 0), 2)]

    def contacts(self) -> tuple[FloatArray, FloatArray]:
        """Return the times and impact speeds (K,) of all contacts, until the ball lies still."""
        first_time = (2 * self.drop / GRAVITY) ** 0.5
        first_speed = GRAVITY * first_time
        num_contacts = 1 + max(0, int(np.log(MIN_IMPACT_SPEED / first_speed) / np.log(self.restitution)))
        speeds = first_speed * self.restitution ** np.arange(num_contacts)
        flights = 2 * speeds[1:] / GRAVITY
        return first_time + np.concatenate([[0.0], np.cumsum(flights)]), speeds

    def positions(self, times_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return x and y of the centre (F,) at `times_s` (F,)."""
        contact_times, speeds = self.contacts()
        last = np.searchsorted(contact_times, times_s, side="right") - 1
        since = times_s - contact_times[np.maximum(last, 0)]
        takeoff = np.append(speeds[1:], 0.0)[np.maximum(last, 0)]
        height = np.where(last < 0, self.drop - GRAVITY / 2 * times_s**2, takeoff * since - GRAVITY / 2 * since**2)
        moving = np.minimum(times_s, contact_times[-1])
        return self.start_x + self.speed_x * moving, self.rest_y - np.maximum(height, 0.0)

    def events(self, duration_s: float) -> tuple[Event, ...]:
        """Return the bounces of the first `duration_s` seconds."""
        times, speeds = self.contacts()
        levels = np.maximum(FULL_LEVEL * (speeds / FULL_LEVEL_SPEED) ** LEVEL_EXPONENT, MIN_LEVEL)
        return tuple(
            Event(
                time_s=time_s,
                kind="bounce",
                x=self.start_x + self.speed_x * time_s,
                y=FLOOR_Y,
                bar=None,
                colour=self.colour,
                timbre=self.material,
                pitch_hz=pitch_hz(self.material, self.sounding_colour),
                level=level,
            )
            for time_s, level in zip(times.tolist(), levels.tolist(), strict=True)
            if time_s < duration_s
        )

    def draw(self, viewport: Viewport, times_s: FloatArray) -> NDArray[np.uint8]:
        """Return the frames (F, H, W, 3)."""
        backdrop = vertical_gradient(viewport, BACKGROUND_RGB[self.background], lighter=8, darker=8)
        fill_below(backdrop, float(viewport.y(FLOOR_Y)), FLOOR_EDGE_RGB[self.material])
        fill_below(backdrop, float(viewport.y(FLOOR_Y + FLOOR_EDGE)), FLOOR_RGB[self.material])
        frames = np.repeat((backdrop + 0.5).astype(np.uint8)[None], len(times_s), axis=0)
        x, y = self.positions(times_s)
        paint(frames, discs(viewport.x(x), viewport.y(y), self.radius * viewport.scale), COLOUR_RGB[self.colour])
        return frames


def draw_ball_scene(seed: int, rng: np.random.Generator) -> BallScene:
    """Return a random ball scene without a bounce near the end of a clip of the reference length."""
    start_x = float(rng.uniform(*START_X))
    slowest, fastest = ((end_x - start_x) / REFERENCE_DURATION_S for end_x in END_X)
    scene = BallScene(
        seed=seed,
        background=str(rng.choice(list(BACKGROUND_RGB))),
        colour=str(rng.choice(COLOURS)),
        material=str(rng.choice(MATERIALS)),
        size=str(rng.choice(list(BALL_RADIUS))),
        drop=float(rng.uniform(*DROP)),
        start_x=start_x,
        speed_x=float(rng.uniform(max(slowest, -MAX_SPEED_X), min(fastest, MAX_SPEED_X))),
        restitution=float(rng.uniform(*RESTITUTION)),
    )
    # Only the restitution is drawn again, so that all heights stay equally frequent.
    while any(event.time_s >= LAST_EVENT_S for event in scene.events(REFERENCE_DURATION_S)):
        scene = replace(scene, restitution=float(rng.uniform(*RESTITUTION)))
    return scene
