"""Write rendered clips as files: an mp4 each, and beside it the truth as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from mova.errors import ConfigError, MediaError
from mova.toyworld.render import RenderedClip, render
from mova.toyworld.sample import sample_scene

MAX_FRAMES = 2_000


def render_clips(
    count: int,
    seed: int,
    out: Path | str,
    *,
    size: int = 128,
    kind: str | None = None,
    num_frames: int = 49,
    frame_rate: float = 24.0,
    sample_rate: int = 16_000,
    on_clip: Callable[[Path], None] | None = None,
) -> list[Path]:
    """Render the scenes of `count` seeds from `seed` on and write each as `ball_00000007.mp4` with `.json` beside it.

    Args:
        count: number of clips, 1 or more.
        seed: seed of the first scene.
        out: directory, made where it is missing.
        size, kind, num_frames, frame_rate, sample_rate: as for `render` and `sample_scene`.
        on_clip: called with the path of each finished clip.

    Returns:
        The paths of the mp4 files, in the order of the seeds.

    Raises:
        ConfigError: a count below 1, more than `MAX_FRAMES` frames, an unknown kind or a negative seed.
        MediaError: the directory cannot be made, or a file cannot be written.
    """
    from mova.media.write import write_clip

    if count < 1:
        raise ConfigError(f"count must be 1 or more, got {count}; nearest is 1")
    if not 1 <= num_frames <= MAX_FRAMES:
        nearest = min(max(num_frames, 1), MAX_FRAMES)
        raise ConfigError(f"num_frames must lie between 1 and {MAX_FRAMES}, got {num_frames}; nearest is {nearest}")
    directory = Path(out)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"output must be a directory that can be made, got {out}: {error.strerror}") from error
    paths = []
    for scene_seed in range(seed, seed + count):
        scene = sample_scene(scene_seed, kind=kind)
        rendered = render(scene, size=size, num_frames=num_frames, frame_rate=frame_rate, sample_rate=sample_rate)
        path = directory / f"{scene.kind}_{scene_seed:08d}.mp4"
        metadata = {"prompt": rendered.caption, "seed": str(scene_seed)}
        write_clip(path, rendered.clip, metadata=metadata, source_type="algorithmicMedia")
        path.with_suffix(".json").write_text(json.dumps(truth(rendered), indent=2) + "\n", encoding="utf-8")
        paths.append(path)
        if on_clip is not None:
            on_clip(path)
    return paths


def truth(rendered: RenderedClip) -> dict[str, object]:
    """Return what is known of a rendered clip as JSON values: caption, scene, sizes, rates and events."""
    frames, waveform = rendered.clip.frames, rendered.clip.waveform
    return {
        "caption": rendered.caption,
        "scene": rendered.scene.to_dict(),
        "num_frames": len(frames),
        "height": frames.shape[1],
        "width": frames.shape[2],
        "frame_rate": rendered.clip.frame_rate,
        "sample_rate": rendered.clip.sample_rate,
        "num_samples": 0 if waveform is None else waveform.shape[1],
        "events": [event.to_dict() for event in rendered.events],
    }
