"""A long clip before anything is computed: how long it becomes, what is known of it, and its windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mova.conditioning.windows import WindowPlan, plan_windows
from mova.errors import ConfigError
from mova.generate.long.choice import LongChoice
from mova.generate.long.source import SourceClip, read_source
from mova.geometry import ClipGeometry, num_samples
from mova.pipeline.long.prompts import PromptTrack

if TYPE_CHECKING:
    import numpy as np

    from mova.generate.request import GenerateRequest


@dataclass(frozen=True, eq=False)
class LongPlan:
    """A long clip, checked.

    Attributes:
        choice: what was asked for.
        prompts: along the file.
        source: the clip that is extended, or None.
        windows: of what is made; with a source they begin with its last frames.
        num_frames: of the whole file.
        own_audio: (1, S) float32 that what is made is heard with, or None; it may end before the clip.
    """

    choice: LongChoice
    prompts: PromptTrack
    source: SourceClip | None
    windows: WindowPlan
    num_frames: int
    own_audio: np.ndarray | None

    @property
    def known_frames(self) -> int:
        """Frames at the end of the source with which the windows begin."""
        return 0 if self.source is None else self.windows.clip.num_frames - (self.num_frames - self.source.num_frames)

    @property
    def before(self) -> int:
        """Frames of the source that stand before the windows."""
        return 0 if self.source is None else self.source.num_frames - self.known_frames

    @property
    def offset_s(self) -> float:
        """Where the windows begin in the file, in seconds."""
        return self.before / self.windows.clip.frame_rate

    @property
    def num_samples(self) -> int:
        """Samples of what the windows make, so that the file has as many as its frames last."""
        clip = self.windows.clip
        rate, sample_rate = clip.frame_rate, clip.codec.sample_rate
        return num_samples(self.num_frames, rate, sample_rate) - num_samples(self.before, rate, sample_rate)

    def known_media(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Read the frames and the samples that the windows begin with; then comes own audio.

        Returns:
            (O, H, W, 3) uint8 and (1, S) float32, each or both None.
        """
        import numpy as np

        frames, audio = None, []
        rate, sample_rate = self.windows.clip.frame_rate, self.windows.clip.codec.sample_rate
        if self.source is not None:
            frames = self.source.frames(self.before, self.known_frames)
            first, end = (num_samples(n, rate, sample_rate) for n in (self.before, self.source.num_frames))
            if self.source.has_audio or self.own_audio is not None:
                audio.append(self.source.samples(first, end - first, sample_rate))
        if self.own_audio is not None:
            audio.append(self.own_audio)
        joined = np.concatenate(audio, axis=1)[:, : self.num_samples] if audio else None
        return frames, joined


def plan_long(request: GenerateRequest, model: str, weights_sha256: str, on_note: Callable[[str], None]) -> LongPlan:
    """Check a request for a long clip and plan its windows, before any weights are loaded.

    Args:
        request: with a `long` choice; its settings are those of a window.
        model, weights_sha256: name and fingerprint of the model.
        on_note: told in words what was moved to the nearest possible value, and what of own audio is used.

    Raises:
        MovaError: a clip that cannot be gone on from, a length or a time that cannot be: rule, value, nearest.
    """
    choice = request.long
    assert choice is not None, "the request is for a long clip"
    for name in ("video", "last_image"):
        if getattr(request, name) is not None:
            raise ConfigError(
                f"a long clip is made from a prompt, an image, audio or a clip to extend, got {name}; leave it out"
            )
    window = request.settings.geometry
    source = None
    if choice.extend is not None:
        if request.image is not None:
            raise ConfigError("a clip that is extended holds the first frames, got an image as well; leave it out")
        source = read_source(choice.extend)
        source.check(window, model, weights_sha256)
    windows, num_frames = _windows(choice, window, source)
    plan = LongPlan(
        choice=choice,
        prompts=PromptTrack.of(request.prompt, choice.prompts_at),
        source=source,
        windows=windows,
        num_frames=num_frames,
        own_audio=_own_audio(request, source, windows.clip, num_frames, on_note),
    )
    plan.prompts.check(windows, plan.offset_s)
    if choice.method == "joint" and plan.own_audio is not None:
        raise ConfigError("windows that are made jointly make their audio, got --audio; nearest is --windows continue")
    _say(plan, on_note)
    return plan


def _windows(choice: LongChoice, window: ClipGeometry, source: SourceClip | None) -> tuple[WindowPlan, int]:
    """Return the windows, and the frames of the whole file."""
    stride, rate = window.codec.temporal_stride, window.frame_rate
    if source is None:
        assert choice.length_s is not None, "a choice without a clip has a length"
        num_frames = 1 + stride * max(0, round((choice.length_s * rate - 1) / stride))
        clip = replace(window, num_frames=num_frames)
        return plan_windows(clip, window, overlap_s=choice.overlap_s, method=choice.method), num_frames
    # What windows have in common decides how much of the clip's end the first one holds.
    trial = plan_windows(
        replace(window, num_frames=4 * window.num_frames - 3), window, overlap_s=choice.overlap_s
    ).overlap
    known = min(trial, (source.num_frames - 1) // stride * stride + 1)
    least = source.num_frames + stride
    wanted = source.num_frames + window.num_frames - known
    if choice.length_s is not None:
        wanted = round(choice.length_s * rate)
    if wanted <= source.num_frames:
        raise ConfigError(
            f"length must be more than that of the clip that is extended ({source.num_frames / rate:.3f} s), got "
            f"{choice.length_s:g}; nearest is {least / rate:.3f}"
        )
    new = stride * max(1, round((wanted - source.num_frames) / stride))
    clip = replace(window, num_frames=known + new)
    plan = plan_windows(clip, window, overlap_s=choice.overlap_s, known_frames=known)
    return plan, source.num_frames + new


def _own_audio(
    request: GenerateRequest,
    source: SourceClip | None,
    clip: ClipGeometry,
    num_frames: int,
    on_note: Callable[[str], None],
) -> np.ndarray | None:
    """Read the audio that what is made is heard with: from `start_s` of its file on, as far as it goes."""
    if request.audio is None:
        return None
    from mova.media.read import read_audio

    rate, sample_rate = clip.frame_rate, clip.codec.sample_rate
    begun = 0 if source is None else source.num_frames
    wanted = num_samples(num_frames, rate, sample_rate) - num_samples(begun, rate, sample_rate)
    found = read_audio(request.audio, sample_rate=sample_rate, length=wanted, start_s=request.start_s)
    lasts = wanted if found.end_s is None else min(wanted, round((found.end_s - request.start_s) * sample_rate))
    if lasts <= 0:
        raise ConfigError(
            f"start must lie inside the audio, got {request.start_s:g} s for {request.audio.name} of "
            f"{found.end_s or 0:.3f} s; nearest is 0"
        )
    if lasts < wanted:
        on_note(
            f"audio: {request.audio.name} lasts {lasts / sample_rate:.2f} s of the {wanted / sample_rate:.2f} s that "
            "are made; what follows it is made as well"
        )
    else:
        on_note(f"audio: {wanted / sample_rate:.2f} s of {request.audio.name} are used")
    own: np.ndarray = found.waveform[:, :lasts]
    return own


def _say(plan: LongPlan, on_note: Callable[[str], None]) -> None:
    windows, rate = plan.windows, plan.windows.clip.frame_rate
    length = plan.num_frames / rate
    asked = plan.choice.length_s
    moved = f" (nearest to {asked:g} s)" if asked is not None and abs(asked - length) > 1e-3 else ""
    one = f"{len(windows.windows)} windows of {windows.window.num_frames} frames that overlap by {windows.overlap}"
    if len(windows.windows) == 1:
        one = "one window"
    on_note(f"{length:.3f} s{moved}, {plan.num_frames} frames: {one} ({windows.overlap_s:.3f} s)")
