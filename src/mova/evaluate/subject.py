"""What is measured, as clips: a model that is asked for them, or a folder of clips that exist already."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from mova.errors import ConfigError, ReadError
from mova.evaluate.given import WHOLE, Given, known_of, media_of, with_truth
from mova.files.json_file import read_object, shorten
from mova.settings.sampling import NOTHING_GIVEN, GivenSettings
from mova.toyworld.caption import OWN_WORDING, caption, draw_wording
from mova.toyworld.render import RenderedClip, render
from mova.toyworld.sample import SEEDS_PER_SPLIT, sample_scene, split_seed
from mova.toyworld.scenes.registry import DEFAULT_KINDS, check_kinds
from mova.toyworld.score import Known
from mova.types import Clip

if TYPE_CHECKING:
    from mova.pipeline.pipeline import MovaPipeline

MAX_CLIPS: Final = 10_000
MAX_SEED: Final = SEEDS_PER_SPLIT // MAX_CLIPS - 1
Generate = Callable[[RenderedClip, int], Clip]


class Subject(Protocol):
    """What is measured: clips by number, each with the scene that it was asked for."""

    @property
    def num_clips(self) -> int:
        """How many there are."""

    @property
    def seed(self) -> int:
        """Seed of what is drawn while measuring."""

    def asked(self, index: int) -> RenderedClip:
        """Return the truth of a clip, from 0 on: its scene, rendered."""

    def clip(self, index: int, asked: RenderedClip) -> Clip:
        """Return the clip that is measured, of any length and rate and of the truth's size."""

    def ceiling(self, asked: RenderedClip) -> Clip | None:
        """Return the truth as it comes back from the autoencoders; None where there are none."""

    def known(self, asked: RenderedClip) -> Known | None:
        """Return what was given where it was not the first frame alone; see `score_clip`."""


@dataclass(frozen=True)
class Shape:
    """Of rendered clips, from which first frames are taken.

    Attributes:
        size: height and width in pixels.
        num_frames: frames of a clip.
        frame_rate: frames per second.
        sample_rate: in Hz.
    """

    size: int = 128
    num_frames: int = 49
    frame_rate: float = 24.0
    sample_rate: int = 16_000


@dataclass(frozen=True)
class Generated:
    """Clips that are made from held-out captions and first frames, the kinds of scene in turn; a `Subject`.

    Attributes:
        generate: takes a rendered clip, of which it uses what a model may know (caption, first frame, or all of the
            video or of the audio), and a seed; returns a clip.
        num_clips: 1 to 10,000.
        seed: 0 or more; another seed means other scenes and other noise.
        kinds: of scenes; by default those that the shipped model was trained on.
        shape: of the rendered clips.
        reencode: sends a clip through the autoencoders and back; gives the ceiling.
        given: what the clips are made from besides the caption, and so what can be measured.
        wordings: of the captions; of several each scene has one, by its seed. See `mova.toyworld.caption`.
        is_shuffled: a control: the video or the audio that is given is that of the next clip of the same kind, and
            what comes back is measured against the clip's own. What agrees then has another reason than what was given.

    Raises:
        ConfigError: number of clips or seed out of range, no kind or an unknown one, or nothing to shuffle.
    """

    generate: Generate
    num_clips: int
    seed: int
    kinds: Sequence[str] = DEFAULT_KINDS
    shape: Shape = field(default_factory=Shape)
    reencode: Callable[[Clip], Clip] | None = None
    given: Given = "frame"
    wordings: Sequence[int] = (OWN_WORDING,)
    is_shuffled: bool = False

    def __post_init__(self) -> None:
        check_benchmark(self.num_clips, self.seed, self.kinds)
        if self.is_shuffled:
            check_shuffled(self.given, self.num_clips, len(self.kinds))

    def asked(self, index: int) -> RenderedClip:
        """See `Subject`."""
        scene = sample_scene(split_seed("heldout", self._seed(index)), kind=self.kinds[index % len(self.kinds)])
        wording = draw_wording(scene.seed, 1.0, self.wordings)
        return replace(render(scene, **vars(self.shape)), caption=caption(scene, wording=wording))

    def clip(self, index: int, asked: RenderedClip) -> Clip:
        """See `Subject`."""
        if not self.is_shuffled:
            return self.generate(asked, self._seed(index))
        following = index + len(self.kinds)
        other = self.asked(following if following < self.num_clips else index % len(self.kinds))
        made = self.generate(replace(asked, clip=other.clip), self._seed(index))
        return with_truth(made, asked.clip, self.given)

    def ceiling(self, asked: RenderedClip) -> Clip | None:
        """See `Subject`."""
        return None if self.reencode is None else self.reencode(asked.clip)

    def known(self, asked: RenderedClip) -> Known | None:
        """See `Subject`."""
        return known_of(asked.clip, self.given)

    def _seed(self, index: int) -> int:
        return self.seed * MAX_CLIPS + index


def check_benchmark(num_clips: int, seed: int, kinds: Sequence[str]) -> None:
    """Refuse what cannot be measured.

    Raises:
        ConfigError: number of clips or seed out of range, no kind or an unknown one.
    """
    if not 1 <= num_clips <= MAX_CLIPS:
        raise ConfigError(
            f"clips must be 1 to {MAX_CLIPS}, got {num_clips}; nearest is {min(max(num_clips, 1), MAX_CLIPS)}"
        )
    if not 0 <= seed <= MAX_SEED:
        raise ConfigError(f"seed must be 0 to {MAX_SEED}, got {seed}; nearest is {min(max(seed, 0), MAX_SEED)}")
    check_kinds(kinds)


def check_shuffled(given: Given, num_clips: int, num_kinds: int) -> None:
    """Refuse a control in which no clip could be given another one's video or audio.

    Raises:
        ConfigError: neither is given, or a kind of scene has one clip.
    """
    if given not in WHOLE:
        raise ConfigError(f"shuffled exchanges the given video or audio, got given {given}; nearest is given video")
    if num_clips < 2 * num_kinds:
        raise ConfigError(
            f"shuffled needs two clips of each kind, got {num_clips} clips of {num_kinds} kinds; nearest is "
            f"{2 * num_kinds} clips"
        )


def of_model(
    pipeline: MovaPipeline,
    *,
    num_clips: int,
    seed: int,
    kinds: Sequence[str] = DEFAULT_KINDS,
    given: Given = "frame",
    settings: GivenSettings = NOTHING_GIVEN,
    speed: str = "exact",
    wordings: Sequence[int] = (OWN_WORDING,),
    is_shuffled: bool = False,
) -> Generated:
    """Return the clips of a model, as it makes them for `mova evaluate toyworld`.

    Args:
        pipeline: the model.
        num_clips, seed, kinds, wordings, is_shuffled: see `Generated`.
        given: what it is given of each clip besides the caption.
        settings: what is given of the sampling settings; their height is that of the square clips.
        speed: speed preset.

    Raises:
        ConfigError: see `Generated`.
    """
    defaults = pipeline.defaults
    shape = Shape(
        settings.height or defaults.height,
        defaults.num_frames,
        defaults.frame_rate,
        pipeline.codec_geometry.sample_rate,
    )
    return Generated(
        lambda rendered, clip_seed: generate(pipeline, rendered, given, clip_seed, settings, speed),
        num_clips,
        seed,
        kinds,
        shape,
        lambda clip: reencode(pipeline, clip),
        given,
        wordings,
        is_shuffled,
    )


def generate(
    pipeline: MovaPipeline, rendered: RenderedClip, given: Given, seed: int, settings: GivenSettings, speed: str
) -> Clip:
    """Ask a model for a clip with the caption of a rendered one and what is given of it."""
    from mova.pipeline.inputs.call import CallInputs
    from mova.pipeline.inputs.media import GivenNoise

    media = media_of(rendered.clip, given)
    height, width = rendered.clip.frames.shape[1:3]
    complete = pipeline.complete_settings(replace(settings, height=height, width=width), speed=speed, media=media)
    inputs = CallInputs(prompt=rendered.caption, media=media, noise=GivenNoise(seed=seed), output_type="np")
    return pipeline.run(complete, inputs).clip()


def reencode(pipeline: MovaPipeline, clip: Clip) -> Clip:
    """Send a rendered clip through both autoencoders of a model and back."""
    import torch

    from mova.codecs.audio import decode_audio, encode_audio
    from mova.codecs.video import decode_video, encode_video, frames_to_tensor, tensor_to_frames

    assert clip.waveform is not None, "rendered clips have audio"
    device = pipeline.device
    with torch.no_grad():
        latents = encode_video(pipeline.video_vae, frames_to_tensor(clip.frames).to(device))
        video = decode_video(pipeline.video_vae, latents)
        waveform = torch.from_numpy(clip.waveform).to(device)[None]
        audio = decode_audio(
            pipeline.audio_vae, encode_audio(pipeline.audio_vae, waveform), num_samples=clip.waveform.shape[-1]
        )
    return replace(clip, frames=tensor_to_frames(video)[0], waveform=audio[0].cpu().numpy())


class ClipFolder:
    """Clips in a folder with their truth beside them, as `mova toyworld render` writes both; a `Subject`.

    The clips may be of any model that was asked for the same captions and first frames. A scene is drawn anew from its
    kind and its seed, and must be the one that the truth tells.

    Args:
        folder: with `NAME.mp4` and `NAME.json` for each clip.
        seed: of what is drawn while measuring.

    Raises:
        ConfigError: no folder, no clip in it, more than `MAX_CLIPS`, or a truth without its clip.
    """

    def __init__(self, folder: Path, seed: int = 0) -> None:
        if not folder.is_dir():
            raise ConfigError(f"clips-from must be a folder of clips with their truth as JSON, got {folder}")
        self.seed = seed
        self.truths = sorted(folder.glob("[!.]*.json"))
        if not 1 <= len(self.truths) <= MAX_CLIPS:
            raise ConfigError(
                f"clips-from must hold 1 to {MAX_CLIPS} clips, NAME.mp4 with NAME.json beside it, got "
                f"{len(self.truths)} JSON files in {folder}; mova toyworld render writes such folders"
            )
        absent = [path.with_suffix(".mp4").name for path in self.truths if not path.with_suffix(".mp4").is_file()]
        if absent:
            raise ConfigError(
                f"clips-from must hold the clip of every truth, got none at {absent[0]} ({len(absent)} such) in "
                f"{folder}"
            )

    @property
    def num_clips(self) -> int:
        """See `Subject`."""
        return len(self.truths)

    def asked(self, index: int) -> RenderedClip:
        """See `Subject`.

        Raises:
            ConfigError: a truth that cannot be read, or whose scene its seed does not give.
        """
        truth = read_object(self.truths[index], error=ConfigError)
        told = truth.fields("scene")
        kind = told.text("kind")
        check_kinds([kind])
        scene = sample_scene(told.integer("seed", least=0), kind=kind)
        if json.loads(json.dumps(scene.to_dict())) != told.values:
            raise ConfigError(
                f"{truth.where}: scene must be the one that kind {kind} and seed {scene.seed} give in this version, "
                "got another one; render the clips again"
            )
        size = tuple(truth.integer(key, least=16, most=4096) for key in ("height", "width"))
        rendered = render(
            scene,
            size=(size[0], size[1]),
            num_frames=truth.integer("num_frames", least=1, most=MAX_CLIPS),
            frame_rate=truth.number("frame_rate", least=1, most=1000),
            sample_rate=truth.integer("sample_rate", least=1000, most=1_000_000),
        )
        if rendered.caption != truth.text("caption"):
            raise ConfigError(f"{truth.where}: caption must be the scene's, got {shorten(truth.text('caption'))}")
        return rendered

    def clip(self, index: int, asked: RenderedClip) -> Clip:
        """See `Subject`.

        Raises:
            ReadError: the clip cannot be read, or has another size than its truth.
        """
        from mova.media.read import read_clip

        path = self.truths[index].with_suffix(".mp4")
        clip = read_clip(path)
        wanted = asked.clip.frames.shape[1:3]
        if clip.frames.shape[1:3] != wanted:
            got = clip.frames.shape[1:3]
            raise ReadError(f"{path} must be {wanted[1]}x{wanted[0]}, as its truth says, got {got[1]}x{got[0]}")
        return clip

    def ceiling(self, _asked: RenderedClip) -> None:
        """See `Subject`: files have no autoencoders."""

    def known(self, _asked: RenderedClip) -> None:
        """See `Subject`: files are of clips that were given their first frame."""
