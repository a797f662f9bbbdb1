"""What the server's model offers, and how a request is completed with what it recommends, before anything is queued."""

from __future__ import annotations

import difflib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from mova.errors import MovaError
from mova.files.json_file import shorten
from mova.generate.request import GenerateRequest
from mova.generate.run import make_request
from mova.geometry import ClipGeometry
from mova.plan.published import find_defaults
from mova.serve.faults import FieldError, fault_of
from mova.serve.intake.forms import Asked
from mova.serve.jobs.options import options_of
from mova.serve.jobs.records import ClipOrder
from mova.serve.settings import LimitsSection, ServeSettings
from mova.settings.few_steps import DISTILLED
from mova.settings.scope import Scope, read_scope
from mova.settings.seeds import MAX_SEED, check_seed
from mova.settings.speed import SPEEDS
from mova.weights.dims import ModelDims, dims_from_directory
from mova.weights.fingerprint import weights_hash
from mova.weights.locate import ModelDefaults, find_model, read_defaults

_SEEDS: Final = 2**32


@dataclass(frozen=True)
class Completed:
    """A request that can be made.

    Attributes:
        request: checked, with all that was not given filled in.
        order: the same as it is kept, for the first of the variants; the names of its files are still to come.
        seeds: of the variants.
    """

    request: GenerateRequest
    order: ClipOrder
    seeds: tuple[int, ...]

    @property
    def speed(self) -> str:
        """Preset."""
        return self.order.speed


class Offer:
    """The model that a server makes clips with. No weights are read.

    Args:
        settings: of the server.

    Attributes:
        folder: the model's directory.
        name: under which it is offered.
        dims: of its networks.
        scope: what it knows.
        defaults: what it recommends.

    Raises:
        MovaError: no such model, LoRA or speed.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self.folder = find_model(settings.model)
        self.name = settings.model_name()
        self.dims: ModelDims = dims_from_directory(self.folder)
        self.scope: Scope = read_scope(self.folder)
        self.defaults: ModelDefaults = read_defaults(self.folder, settings.model)
        self._settings, self._loras = settings, settings.lora_choices()
        if settings.speed == DISTILLED:
            self.defaults = find_defaults(settings.model, DISTILLED)

    @property
    def speeds(self) -> tuple[str, ...]:
        """Speed presets that a request may name; the distilled one is another set of weights."""
        if self._settings.speed == DISTILLED:
            return (DISTILLED,)
        return tuple(name for name in SPEEDS if name != DISTILLED)

    @property
    def default_speed(self) -> str:
        """Speed preset where a request names none."""
        return self._settings.speed

    @cached_property
    def weights_sha256(self) -> str:
        """Fingerprint of the model's weights."""
        return weights_hash(self.folder)

    @property
    def most_at_once(self) -> int:
        """Frames of the longest clip that the model was trained for; longer ones are made in windows."""
        return max(self.defaults.num_frames, *self.scope.num_frames, 0)

    def complete(self, asked: Asked, files: Mapping[str, Path]) -> Completed:
        """Complete and check what is asked for.

        Args:
            asked: fields of a request.
            files: that it is made from, by input; they need not have been decoded.

        Raises:
            RefusedError: a model or speed that there is not, or a value that the model cannot have.
        """
        self.check_model(asked.model)
        speed = self._speed(asked.speed)
        given, long = self._length(asked, files)
        seed = self._seed(asked)
        try:
            order = ClipOrder(
                prompt=asked.prompt or "",
                negative_prompt=asked.negative_prompt,
                seed=seed,
                model=self.name,
                settings=given,
                inputs=dict.fromkeys(files, ""),
                speed=speed,
                start_s=asked.start_s or 0.0,
                enhancement=asked.enhancement,
                retakes=asked.retakes or (),
                keyframes=asked.keyframes or (),
                only=asked.only or None,
                fit=asked.fit,
                retries=asked.retries,
                long=long,
            )
            options = options_of(order, files)
            _, request = make_request(self._settings.model, options, folder=self.folder, loras=self._loras, speed=speed)
        except MovaError as error:
            raise fault_of(error) from None
        _check_size(request, self._settings.limits)
        seeds = tuple(seed + place for place in range(asked.num_variants))
        return Completed(replace(request, model=self.name), order, seeds)

    def _length(self, asked: Asked, files: Mapping[str, Path]) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """Return sampling settings, and how the clip becomes longer than a window, where it does.

        A clip with images at moments, spans, one modality or whole media is made at once, however long it is.
        """
        given, limits = dict(asked.settings), self._settings.limits
        rate, length_s = given.get("frame_rate", self.defaults.frame_rate), asked.seconds
        has_frames = "num_frames" in given
        if asked.seconds is not None and not has_frames and "extend" not in files:
            given["num_frames"] = self.frames_of(asked.seconds, rate)
        _check_limits(given, limits)
        is_whole = asked.retakes or asked.keyframes or asked.only or {"video", "last_image"} & set(files)
        is_asked = asked.windows or asked.overlap_s is not None or asked.prompts_at or "extend" in files
        if not is_asked and (is_whole or given.get("num_frames", 0) <= self.most_at_once):
            return given, None
        frames = given.pop("num_frames", None)
        if has_frames:
            self._check_frames(frames, rate)
            length_s = frames / rate
        values = {
            "length_s": length_s,
            "overlap_s": asked.overlap_s,
            "method": asked.windows or "continue",
            "prompts_at": [list(one) for one in asked.prompts_at or ()],
        }
        return given, {name: value for name, value in values.items() if value is not None}

    def _check_frames(self, frames: int, frame_rate: float) -> None:
        """Refuse a number of frames with which no clip ends."""
        try:
            ClipGeometry(self.defaults.height, self.defaults.width, frames, frame_rate, self.dims.codec)
        except MovaError as error:
            raise fault_of(error) from None

    def check_model(self, name: str | None) -> None:
        """Refuse the name of another model.

        Raises:
            FieldError: with the name of this one.
        """
        if name not in (None, "", self.name):
            raise FieldError(
                f"model must be {self.name}, got {shorten(name)}; nearest is {self.name}",
                "model",
                code="model_not_found",
                status=404,
            )

    def frames_of(self, seconds: float, frame_rate: float) -> int:
        """Return the number of frames that lasts about so long: 1 plus a multiple of the temporal stride."""
        stride = self.dims.codec.temporal_stride
        return max(0, round((min(seconds * frame_rate, 1e6) - 1) / stride)) * stride + 1

    def _speed(self, name: str | None) -> str:
        if name is None:
            return self._settings.speed
        if name not in self.speeds:
            close = difflib.get_close_matches(name[:80], self.speeds, n=1, cutoff=0.0)
            raise FieldError(
                f"speed must be one of {', '.join(self.speeds)}; got {shorten(name)}; nearest is {close[0]}", "speed"
            )
        return name

    @staticmethod
    def _seed(asked: Asked) -> int:
        if asked.seed is None:
            return secrets.randbelow(_SEEDS)
        try:
            seed = check_seed(asked.seed)
        except MovaError as error:
            raise fault_of(error, "seed") from None
        most = MAX_SEED - asked.num_variants + 1
        if seed > most:
            text = f"seed must be at most {most} for {asked.num_variants} variants, got {seed}; nearest is {most}"
            raise FieldError(text, "seed")
        return seed


def _check_limits(given: Mapping[str, Any], limits: LimitsSection) -> None:
    for name, param, most in (
        ("num_frames", "num_frames", limits.clip_frames),
        ("num_inference_steps", "num_inference_steps", limits.clip_steps),
    ):
        value = given.get(name, 0)
        if value > most:
            raise FieldError(f"{param} must be at most {most} on this server, got {value}; nearest is {most}", param)


def _check_size(request: GenerateRequest, limits: LimitsSection) -> None:
    width, height = request.settings.width, request.settings.height
    if width * height > limits.clip_pixels:
        raise FieldError(
            f"size must have at most {limits.clip_pixels} pixels on this server, got {width}x{height}", "size"
        )
