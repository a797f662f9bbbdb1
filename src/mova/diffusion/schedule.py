"""The noise levels of a sampling run: one column for video, one for audio, the same number of steps.

The tables are those of the published `FlowMatchPairScheduler`, whose configuration this scheduler reads. One thing
differs by default: the published code replaces each sigma by the nearest entry of a 1000-entry table (an error of up to
0.0016 at shift 5 and 50 steps); here sigmas are exact, and `sigma_lookup="nearest"` gives the published numbers.

Everything is computed in float64 and kept in float32 on the CPU, so that a loop reads sigmas without waiting for a GPU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral
from typing import Literal, get_args

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.schedulers.scheduling_utils import SchedulerMixin

from mova.checks import check_share
from mova.diffusion.flow import shift_sigma
from mova.errors import ConfigError

SigmaLookup = Literal["exact", "nearest"]


@dataclass(frozen=True, eq=False)
class PairedSchedule:
    """Noise levels and timesteps of every step, for both modalities.

    Attributes:
        video_sigmas: (steps + 1,) float32 on the CPU in [0, 1]; step i leads from entry i to entry i + 1.
        audio_sigmas: (steps + 1,) likewise.
        video_timesteps: (steps,) float32 on the CPU in [0, num_train_timesteps]: what the model is told at step i.
        audio_timesteps: (steps,) likewise.
        num_train_timesteps: the timestep that stands for sigma 1.
        is_held: whether video, and whether audio, is given whole: no guidance is computed for it.
    """

    video_sigmas: torch.Tensor
    audio_sigmas: torch.Tensor
    video_timesteps: torch.Tensor
    audio_timesteps: torch.Tensor
    num_train_timesteps: int = 1000
    is_held: tuple[bool, bool] = (False, False)

    def __post_init__(self) -> None:
        steps = self.video_timesteps.numel()
        expected = {"video_sigmas": steps + 1, "audio_sigmas": steps + 1, "audio_timesteps": steps}
        for name, length in expected.items():
            shape = tuple(getattr(self, name).shape)
            if shape != (length,):
                raise ConfigError(f"a schedule of {steps} steps needs {name} of shape ({length},), got {shape}")

    @property
    def num_inference_steps(self) -> int:
        """Number of steps."""
        return self.video_timesteps.numel()


class PairedFlowMatchScheduler(SchedulerMixin, ConfigMixin):
    """Builds paired schedules from the published configuration. Keeps no state that a sampling run changes.

    Args:
        num_inference_steps: steps of the schedule that exists after construction.
        num_train_timesteps: timestep of sigma 1, and size of the table of the nearest look-up.
        shift: default of both modalities; see `shift_sigma`.
        sigma_max: where the unshifted sigmas start.
        sigma_min: where the unshifted sigmas end; the last step always leads from there to 0.
        inverse_timesteps: from clean to noise instead: the unshifted column is turned round before the shift.
        extra_one_step: leave out the end point of the unshifted column (the released checkpoints do).
        reverse_sigmas: from clean to noise instead: every shifted sigma becomes 1 - sigma.
        exponential_shift: use exp(exponential_shift_mu) as the shift of both modalities.
        exponential_shift_mu: see `exponential_mu`.
        shift_terminal: stretch the shifted column so that its last entry has this value.

    Raises:
        ConfigError: a value outside its range.
    """

    order = 1

    @register_to_config
    def __init__(
        self,
        num_inference_steps: int = 100,
        num_train_timesteps: int = 1000,  # noqa: ARG002 - read from self.config
        shift: float = 3.0,
        sigma_max: float = 1.0,
        sigma_min: float = 0.003 / 1.002,
        inverse_timesteps: bool = False,  # noqa: ARG002 - read from self.config
        extra_one_step: bool = False,  # noqa: ARG002 - read from self.config
        reverse_sigmas: bool = False,  # noqa: ARG002 - read from self.config
        exponential_shift: bool = False,
        exponential_shift_mu: float | None = None,
        shift_terminal: float | None = None,  # noqa: ARG002 - read from self.config
    ) -> None:
        if not 0 <= sigma_min < sigma_max <= 1:
            raise ConfigError(f"0 <= sigma_min < sigma_max <= 1 must hold, got {sigma_min} and {sigma_max}")
        if exponential_shift and exponential_shift_mu is None:
            raise ConfigError(
                "exponential_shift needs exponential_shift_mu, got None; "
                + " and ".join(f"{exponential_mu(tokens):g} suits {tokens} tokens" for tokens in (256, 8192))
            )
        _check_shift("shift", shift)
        self.set_timesteps(num_inference_steps)

    def set_timesteps(
        self,
        num_inference_steps: int,
        *,
        video_shift: float | None = None,
        audio_shift: float | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        """Make a schedule the current one: `.timesteps` (steps, 2), [video, audio], on `device`; sigmas on the CPU."""
        self.schedule = self.make_schedule(num_inference_steps, video_shift=video_shift, audio_shift=audio_shift)
        pairs = torch.stack([self.schedule.video_timesteps, self.schedule.audio_timesteps], dim=1)
        self.timesteps = pairs.to(device or "cpu")

    @property
    def video_sigmas(self) -> torch.Tensor:
        """(steps + 1,) float32 on the CPU, of the current schedule."""
        return self.schedule.video_sigmas

    @property
    def audio_sigmas(self) -> torch.Tensor:
        """(steps + 1,) float32 on the CPU, of the current schedule."""
        return self.schedule.audio_sigmas

    def make_schedule(
        self,
        num_inference_steps: int,
        *,
        video_shift: float | None = None,
        audio_shift: float | None = None,
        video_strength: float = 1.0,
        audio_strength: float = 1.0,
        hold_video: bool = False,
        hold_audio: bool = False,
        hold_noise: float = 0.0,
        sigma_lookup: SigmaLookup = "exact",
    ) -> PairedSchedule:
        """Return the schedule of one run.

        Args:
            num_inference_steps: from 1 to `num_train_timesteps`.
            video_shift: replaces the configured shift for video.
            audio_shift: replaces the configured shift for audio.
            video_strength: in (0, 1]; below 1, video starts from latents that are only partly noise.
            audio_strength: the same for audio.
            hold_video: video is given: sound for a given video.
            hold_audio: audio is given: video for a given sound.
            hold_noise: in [0, 1], noise augmentation of what is given: share of each step's sigma and timestep that it
                has. 0 is clean throughout, 1 as noisy as what is made.
            sigma_lookup: "exact", or "nearest" for the quantised sigmas of the published code.

        Raises:
            ConfigError: a value outside its range, both modalities held, or a shift or strength for a clean one.
        """
        if hold_video and hold_audio:
            raise ConfigError("at most one modality can be held, got hold_video and hold_audio")
        check_share("hold_noise", hold_noise)
        if sigma_lookup not in get_args(SigmaLookup):
            raise ConfigError(f"sigma_lookup must be one of {get_args(SigmaLookup)}, got {sigma_lookup!r}")
        video_level, audio_level = (hold_noise if is_held else 1.0 for is_held in (hold_video, hold_audio))
        _check_column("video", video_shift, video_strength, video_level)
        _check_column("audio", audio_shift, audio_strength, audio_level)
        video_sigmas, video_timesteps = self._table(
            num_inference_steps, video_shift, video_strength, video_level, sigma_lookup
        )
        audio_sigmas, audio_timesteps = self._table(
            num_inference_steps, audio_shift, audio_strength, audio_level, sigma_lookup
        )
        return PairedSchedule(
            video_sigmas,
            audio_sigmas,
            video_timesteps,
            audio_timesteps,
            self.config.num_train_timesteps,
            (hold_video, hold_audio),
        )

    def _table(
        self, num_steps: int, shift: float | None, strength: float, level: float, sigma_lookup: SigmaLookup
    ) -> tuple[torch.Tensor, torch.Tensor]:
        column = level * self.sigma_column(num_steps, shift=shift, strength=strength)
        if level == 0:
            return torch.zeros(num_steps + 1, device="cpu"), torch.zeros(num_steps, device="cpu")
        timesteps = (column * self.config.num_train_timesteps).float()
        starts = self.nearest_training_sigmas(timesteps) if sigma_lookup == "nearest" else column.float()
        return torch.cat([starts, starts.new_full((1,), self.final_sigma)]), timesteps

    @property
    def final_sigma(self) -> float:
        """Where the last step leads: 0 (clean), or 1 (noise) with inverse_timesteps or reverse_sigmas."""
        return 1.0 if self.config.inverse_timesteps or self.config.reverse_sigmas else 0.0

    def sigma_column(self, num_steps: int, *, shift: float | None = None, strength: float = 1.0) -> torch.Tensor:
        """Return the sigma at which each step starts: (num_steps,) float64 on the CPU; see `make_schedule`."""
        config = self.config
        _check_steps(num_steps, config.num_train_timesteps)
        start = config.sigma_min + (config.sigma_max - config.sigma_min) * strength
        num_points = num_steps + 1 if config.extra_one_step else num_steps
        column = torch.linspace(start, config.sigma_min, num_points, dtype=torch.float64, device="cpu")[:num_steps]
        if config.inverse_timesteps:
            column = column.flip(0)
        column = shift_sigma(column, self._shift(shift))
        if config.shift_terminal is not None:
            column = _end_at(column, config.shift_terminal)
        return 1 - column if config.reverse_sigmas else column

    def nearest_training_sigmas(self, timesteps: torch.Tensor) -> torch.Tensor:
        """Return what the published code takes as the sigmas of these timesteps: (n,) float32.

        It looks them up in a table of `num_train_timesteps` entries at the configured shift, whatever shift the
        timesteps were made with, and so never gets a sigma below that table's end.
        """
        table = self.sigma_column(self.config.num_train_timesteps)
        return nearest_sigmas(timesteps, (table * self.config.num_train_timesteps).float(), table.float())

    def _shift(self, shift: float | None) -> float:
        if self.config.exponential_shift:
            if shift is not None:
                raise ConfigError(f"exponential_shift fixes the shift of both modalities, got {shift}; leave it None")
            return math.exp(self.config.exponential_shift_mu)
        chosen: float = self.config.shift if shift is None else shift
        return chosen


def nearest_sigmas(timesteps: torch.Tensor, table_timesteps: torch.Tensor, table_sigmas: torch.Tensor) -> torch.Tensor:
    """Return the sigmas (n,) of the table entries (m,) whose timesteps are nearest to `timesteps` (n,)."""
    nearest = (table_timesteps[None, :] - timesteps[:, None]).abs().argmin(dim=1)
    return table_sigmas[nearest]


def exponential_mu(num_tokens: int) -> float:
    """Return the published `exponential_shift_mu` of a sequence: 0.5 at 256 tokens, 0.9 at 8192, on a line."""
    return 0.5 + (0.9 - 0.5) * (num_tokens - 256) / (8192 - 256)


def bell_weights(timesteps: torch.Tensor) -> torch.Tensor:
    """Return the published loss weights of n training timesteps: (n,), a bell centred at n / 2, with mean 1.

    The paper trains without weights, the released trainer with these: `weighting: bell` of a recipe.
    """
    num_steps = len(timesteps)
    bell = torch.exp(-2 * ((timesteps.double() - num_steps / 2) / num_steps) ** 2)
    bell = bell - bell.min()
    return (bell * (num_steps / bell.sum())).float()


def _end_at(column: torch.Tensor, terminal: float) -> torch.Tensor:
    distance = 1 - column
    if not 0 <= terminal < 1 or distance[-1] == 0:
        raise ConfigError(
            f"shift_terminal must lie in [0, 1) and needs at least 2 steps, got {terminal} and {len(column)} steps"
        )
    return 1 - distance * (1 - terminal) / distance[-1]


def _check_steps(num_steps: float, most: int) -> None:
    if isinstance(num_steps, bool) or not isinstance(num_steps, Integral) or not 1 <= num_steps <= most:
        nearest = min(max(round(num_steps), 1), most) if math.isfinite(num_steps) else most
        raise ConfigError(
            f"num_inference_steps must be a whole number from 1 to {most}, got {num_steps}; nearest is {nearest}"
        )


def _check_column(modality: str, shift: float | None, strength: float, level: float) -> None:
    if level == 0 and (shift is not None or strength != 1):
        raise ConfigError(
            f"{modality} is held clean, so its shift and strength would do nothing, got {shift} and {strength}; "
            "leave them at None and 1.0"
        )
    if shift is not None:
        _check_shift(f"{modality}_shift", shift)
    if not 0 < strength <= 1:
        nearest = 0.01 if strength <= 0 else 1.0
        raise ConfigError(f"{modality}_strength must lie in (0, 1], got {strength}; nearest is {nearest}")


def _check_shift(name: str, shift: float) -> None:
    if not (math.isfinite(shift) and shift > 0):
        raise ConfigError(f"{name} must be positive and finite, got {shift}; the released models use 5.0")
