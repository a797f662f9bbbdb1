"""The bridge between the towers: cross-attention in both directions at chosen layers, on one time axis.

Shapes: B batch, V video tokens, A audio tokens, T latent frames, D hidden (video and audio differ), N heads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn
from torch.nn import functional

from mova.errors import ConfigError
from mova.models.attention import Attention, AttentionDispatch
from mova.models.modulation import Float32LayerNorm
from mova.models.rope import RotaryTable, aligned_rotary, rotate_halves

STRATEGIES = ("full", "shallow_focus", "distributed", "progressive", "custom")
_NORM_EPS = 1e-6
_ADAPTIVE_NORM_EPS = 1e-5


def interaction_layers(strategy: str, video_layers: int, audio_layers: int) -> tuple[int, ...]:
    """Return the layers at which the towers meet.

    Args:
        strategy: "full": every shared layer; "shallow_focus": the first third, at most 10; "distributed": every third;
            "progressive": the first 8, then every third; "custom": the published hand-picked list.
        video_layers, audio_layers: blocks of the towers; layers up to the smaller number are shared.

    Raises:
        ConfigError: another strategy.
    """
    shared = min(video_layers, audio_layers)
    match strategy:
        case "full":
            return tuple(range(shared))
        case "shallow_focus":
            return tuple(range(min(10, shared // 3)))
        case "distributed":
            return tuple(range(0, shared, 3))
        case "progressive":
            return (*range(min(8, shared)), *range(8, shared, 3))
        case "custom":
            return tuple(layer for layer in (0, 2, 4, 6, 8, 12, 16, 20) if layer < shared)
    raise ConfigError(f"interaction strategy must be one of {', '.join(STRATEGIES)}; got {strategy!r}")


class ProbeAttention(nn.Module):
    """Attention from one query to the tokens of a frame; parameter names as in `torch.nn.MultiheadAttention`.

    Written out because that class uses `out_proj` without calling it, which hooks on it would miss.

    Args:
        dim: D.
        num_heads: divides `dim`.
    """

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        if dim % num_heads:
            raise ConfigError(f"pooled_adaln needs {num_heads} heads to divide the video width, got {dim}")
        self.num_heads = num_heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        self.dispatch = AttentionDispatch()
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, query: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Attend from (B, 1, D) to (B, K, D); return (B, 1, D)."""
        dim = query.shape[-1]
        heads = (self.num_heads, -1)
        q = functional.linear(query, self.in_proj_weight[:dim], self.in_proj_bias[:dim]).unflatten(-1, heads)
        k, v = functional.linear(tokens, self.in_proj_weight[dim:], self.in_proj_bias[dim:]).chunk(2, dim=-1)
        attended = self.dispatch(q, k.unflatten(-1, heads), v.unflatten(-1, heads), is_self=False)
        output: torch.Tensor = self.out_proj(attended.flatten(2))
        return output


class FramePooling(nn.Module):
    """One vector per latent frame, by attention from a learned probe.

    Args:
        dim: D of the pooled tokens.
        num_heads: divides `dim`.
    """

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.probe = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.attention = ProbeAttention(dim, num_heads)
        self.layernorm = Float32LayerNorm(dim, eps=_NORM_EPS)

    def forward(self, tokens_BVD: torch.Tensor, num_frames: int) -> torch.Tensor:
        """Pool (B, V, D) tokens of T = `num_frames` latent frames to (B, T, D)."""
        batch, _, dim = tokens_BVD.shape
        frames = tokens_BVD.reshape(batch * num_frames, -1, dim)
        probe = self.probe.to(tokens_BVD.dtype).expand(len(frames), -1, -1)
        pooled: torch.Tensor = self.layernorm(self.attention(probe, frames))
        return pooled.to(tokens_BVD.dtype).view(batch, num_frames, dim)


class AdaptiveNorm(nn.Module):
    """Norm whose scale and shift come from a condition of the same length.

    Args:
        dim: of the normalised tokens.
        condition_dim: of the condition.
    """

    def __init__(self, dim: int, condition_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(condition_dim, 2 * dim)
        self.norm = Float32LayerNorm(dim, eps=_ADAPTIVE_NORM_EPS, elementwise_affine=False)

    def forward(self, x_BLD: torch.Tensor, condition_BLC: torch.Tensor) -> torch.Tensor:
        """Return norm(x) * (1 + scale) + shift, (B, L, D)."""
        scale, shift = self.linear(functional.silu(condition_BLC)).float().chunk(2, dim=-1)
        return torch.addcmul(shift, self.norm(x_BLD), 1 + scale).to(x_BLD.dtype)


class Conditioner(nn.Module):
    """What one tower hears of the other at one layer: cross-attention from its tokens to the other's, normed first.

    Args:
        dim: of the tower that listens.
        context_dim: of the other tower.
        num_heads: divides `dim`.
        pooled_adaln: also modulate the queries by the other tower's tokens, pooled per frame.
    """

    # Set from outside by diffusers' `enable_gradient_checkpointing`.
    gradient_checkpointing: bool = False
    _gradient_checkpointing_func: Callable[..., Any]

    def __init__(self, dim: int, context_dim: int, num_heads: int, pooled_adaln: bool) -> None:
        super().__init__()
        self.y_norm = Float32LayerNorm(context_dim, eps=_NORM_EPS)
        self.inner = Attention(dim, num_heads, eps=_NORM_EPS, context_dim=context_dim, rotate=rotate_halves)
        self.has_pooling = pooled_adaln
        if pooled_adaln:
            self.per_frame_pooling = FramePooling(context_dim, num_heads)
            self.adaln = AdaptiveNorm(dim, context_dim)

    def forward(
        self,
        x_BLD: torch.Tensor,
        other_BKC: torch.Tensor,
        rotary: RotaryTable | None,
        other_rotary: RotaryTable | None,
        num_frames: int,
    ) -> torch.Tensor:
        """Return the update (B, L, D) of `x_BLD` given the other tower's tokens (B, K, C) and T latent frames."""
        inputs = (x_BLD, other_BKC, rotary, other_rotary, num_frames)
        if self.gradient_checkpointing and torch.is_grad_enabled():
            recomputed: torch.Tensor = self._gradient_checkpointing_func(self._update, *inputs)
            return recomputed
        return self._update(*inputs)

    def _update(
        self,
        x_BLD: torch.Tensor,
        other_BKC: torch.Tensor,
        rotary: RotaryTable | None,
        other_rotary: RotaryTable | None,
        num_frames: int,
    ) -> torch.Tensor:
        if self.has_pooling:
            pooled = self.per_frame_pooling(other_BKC, num_frames).transpose(1, 2)
            if pooled.shape[2] != x_BLD.shape[1]:
                pooled = functional.interpolate(pooled, size=x_BLD.shape[1], mode="linear", align_corners=False)
            x_BLD = self.adaln(x_BLD, pooled.transpose(1, 2))
        context = self.y_norm(other_BKC).to(other_BKC.dtype)
        update: torch.Tensor = self.inner(x_BLD, context, rotary, other_rotary)
        return update


class CrossModalBridge(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Bidirectional cross-attention between the towers, published as `DualTowerConditionalBridge`.

    Arguments are the keys of its config.json ("visual" is the published word for video).

    Args:
        visual_layers, audio_layers: blocks of the towers.
        visual_hidden_dim, audio_hidden_dim: widths of the towers, multiples of `head_dim`.
        audio_fps: audio latent steps per second.
        head_dim: channels per head, even.
        interaction_strategy: see `interaction_layers`.
        apply_cross_rope: give queries and keys their positions on the common time axis.
        apply_first_frame_bias_in_rope: see `mova.models.rope.aligned_video_positions`.
        trainable_condition_scale: multiply both updates by one learned number.
        pooled_adaln: modulate the audio by the pooled frames of the video before it attends to it.

    Raises:
        ConfigError: sizes that do not divide, or an unknown strategy.
    """

    _supports_gradient_checkpointing = True
    _no_split_modules: ClassVar[list[str]] = ["Conditioner"]
    _repeated_blocks: ClassVar[list[str]] = ["Conditioner"]
    _keep_in_fp32_modules: ClassVar[list[str]] = ["y_norm", "condition_scale"]
    _skip_layerwise_casting_patterns: ClassVar[list[str]] = ["norm", "condition_scale", "probe"]

    @register_to_config
    def __init__(
        self,
        visual_layers: int = 40,
        audio_layers: int = 30,
        visual_hidden_dim: int = 5120,
        audio_hidden_dim: int = 1536,
        audio_fps: float = 50.0,
        head_dim: int = 128,
        interaction_strategy: str = "full",
        apply_cross_rope: bool = True,
        apply_first_frame_bias_in_rope: bool = False,
        trainable_condition_scale: bool = False,
        pooled_adaln: bool = False,
    ) -> None:
        super().__init__()
        for name, width in (("visual_hidden_dim", visual_hidden_dim), ("audio_hidden_dim", audio_hidden_dim)):
            if head_dim < 2 or head_dim % 2 or width % head_dim:
                raise ConfigError(f"head_dim must be even and divide {name} {width}, got {head_dim}")
        self.head_dim = head_dim
        self.audio_latent_rate = audio_fps
        self.has_rope = apply_cross_rope
        self.has_first_frame_bias = apply_first_frame_bias_in_rope
        self.layers = interaction_layers(interaction_strategy, visual_layers, audio_layers)
        self.audio_to_video_conditioners = nn.ModuleList()
        self.video_to_audio_conditioners = nn.ModuleList()
        for layer in self.layers:
            # The published keys count layers of the towers, which leaves gaps for most strategies.
            self.audio_to_video_conditioners.add_module(
                str(layer), Conditioner(visual_hidden_dim, audio_hidden_dim, visual_hidden_dim // head_dim, False)
            )
            self.video_to_audio_conditioners.add_module(
                str(layer), Conditioner(audio_hidden_dim, visual_hidden_dim, audio_hidden_dim // head_dim, pooled_adaln)
            )
        self.condition_scale = nn.Parameter(torch.ones(1)) if trainable_condition_scale else None

    def interacts_at(self, layer: int) -> bool:
        """Say whether the towers meet before block `layer`."""
        return layer in self.layers

    def rotary_tables(
        self, grid: tuple[int, ...], num_audio_steps: int, frame_rate: float, device: torch.device
    ) -> tuple[RotaryTable | None, RotaryTable | None]:
        """Return the positions of video and audio tokens on the common time axis (None without `apply_cross_rope`).

        Args:
            grid: video tokens along time, height and width.
            num_audio_steps: A.
            frame_rate: pixel frames per second.
            device: of the tokens.
        """
        if not self.has_rope:
            return None, None
        time, height, width = grid
        return aligned_rotary(
            (time, height, width),
            num_audio_steps,
            self.head_dim,
            float(frame_rate),
            float(self.audio_latent_rate),
            self.has_first_frame_bias,
            device,
        )

    def forward(
        self,
        layer: int,
        video_BVD: torch.Tensor,
        audio_BAD: torch.Tensor,
        rotary: tuple[RotaryTable | None, RotaryTable | None],
        num_latent_frames: int,
        *,
        condition_scale: float | None = None,
        audio_to_video_scale: float | None = None,
        video_to_audio_scale: float | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Let the towers hear each other before block `layer`; both directions read the states given here.

        Args:
            layer: counted from 0; nothing happens where the towers do not meet.
            video_BVD: (B, V, D) video tokens.
            audio_BAD: (B, A, D) audio tokens.
            rotary: from `rotary_tables`.
            num_latent_frames: T, for `pooled_adaln`.
            condition_scale: factor of both updates; the learned one, or 1, if not given.
            audio_to_video_scale, video_to_audio_scale: factors of one direction; `condition_scale` if not given.

        Returns:
            Updated (B, V, D) and (B, A, D).
        """
        if not self.interacts_at(layer):
            return video_BVD, audio_BAD
        video_rotary, audio_rotary = rotary
        to_video = self.audio_to_video_conditioners.get_submodule(str(layer))(
            video_BVD, audio_BAD, video_rotary, audio_rotary, num_latent_frames
        )
        to_audio = self.video_to_audio_conditioners.get_submodule(str(layer))(
            audio_BAD, video_BVD, audio_rotary, video_rotary, num_latent_frames
        )
        return (
            self._add(video_BVD, to_video, condition_scale, audio_to_video_scale),
            self._add(audio_BAD, to_audio, condition_scale, video_to_audio_scale),
        )

    def _add(
        self, x: torch.Tensor, update: torch.Tensor, condition_scale: float | None, own_scale: float | None
    ) -> torch.Tensor:
        scale: float | torch.Tensor | None = condition_scale if own_scale is None else own_scale
        if scale is None:
            scale = self.condition_scale
        return x + (update if scale is None else update * scale).to(x.dtype)
