"""One diffusion transformer, and its two forms: `VideoTower` and `AudioTower` differ by patches and positions only.

Parameters live only in child modules that are called, so that hooks (offload, sharding) reach every one of them in the
joint forward, which never calls a tower as a whole: see docs/decisions/0001-hooks-and-the-joint-forward.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn

from mova.errors import ConfigError, GeometryError
from mova.models.dit_block import DiTBlock
from mova.models.modulation import (
    Float32LayerNorm,
    Float32Linear,
    initial_modulation,
    modulate,
    timestep_embedding,
)
from mova.models.patchify import PatchEmbedding, token_grid, unpatchify
from mova.models.rope import RotaryTable, audio_rotary, split_head_dim, video_rotary


@dataclass(frozen=True)
class TowerInputs:
    """What the blocks of a tower read, made by `prepare`.

    Attributes:
        tokens: (B, L, D) in the dtype of the weights; the only value that blocks change.
        contexts: the text as each block reads it, (B, P, D).
        time_embedding: (B, D) float32, for the head.
        time_modulation: (B, 6, D) float32, for the blocks.
        rotary: positions of the L tokens.
        grid: tokens along each axis; their product is L.
    """

    tokens: torch.Tensor
    contexts: Sequence[torch.Tensor]
    time_embedding: torch.Tensor
    time_modulation: torch.Tensor
    rotary: RotaryTable
    grid: tuple[int, ...]


class Head(nn.Module):
    """Modulated norm and projection from tokens to patches.

    Args:
        dim: D.
        out_features: output channels x latent cells per token.
        eps: of the norm.
    """

    def __init__(self, dim: int, out_features: int, eps: float) -> None:
        super().__init__()
        self.norm = Float32LayerNorm(dim, eps=eps, elementwise_affine=False)
        self.head = nn.Linear(dim, out_features)
        self.modulation = initial_modulation(2, dim)

    def forward(self, tokens_BLD: torch.Tensor, time_embedding_BD: torch.Tensor) -> torch.Tensor:
        """Map tokens (B, L, D) and time embedding (B, D) float32 to (B, L, out_features)."""
        shift, scale = (self.modulation.float() + time_embedding_BD[:, None]).chunk(2, dim=1)
        output: torch.Tensor = self.head(modulate(self.norm, tokens_BLD, shift, scale))
        return output


class DiTTower(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """What both towers share. Not used by itself: a subclass gives the positions and the published arguments."""

    _supports_gradient_checkpointing = True
    _no_split_modules: ClassVar[list[str]] = ["DiTBlock"]
    _repeated_blocks: ClassVar[list[str]] = ["DiTBlock"]
    _keep_in_fp32_modules: ClassVar[list[str]] = ["time_embedding", "time_projection", "modulation", "norm3"]
    _skip_layerwise_casting_patterns: ClassVar[list[str]] = ["patch_embedding", "modulation", "norm", "head"]
    # Top-level parts that are neither lists nor sequences, so that block-level offload hooks each of them.
    _group_offload_block_modules: ClassVar[list[str]] = ["patch_embedding", "head"]

    patch_size: tuple[int, ...]

    def _build(
        self,
        *,
        dim: int,
        in_dim: int,
        ffn_dim: int,
        out_dim: int,
        text_dim: int,
        freq_dim: int,
        eps: float,
        patch_size: Sequence[int],
        num_heads: int,
        num_layers: int,
    ) -> None:
        if num_heads < 1 or dim % num_heads:
            raise ConfigError(f"num_heads must divide dim {dim}, got {num_heads}")
        self.head_dim = dim // num_heads
        self.freq_dim = freq_dim
        self.in_channels = in_dim
        self.patch_size = tuple(patch_size)
        self.patch_embedding = PatchEmbedding(in_dim, dim, self.patch_size)
        self.text_embedding = nn.Sequential(nn.Linear(text_dim, dim), nn.GELU(approximate="tanh"), nn.Linear(dim, dim))
        self.time_embedding = nn.Sequential(Float32Linear(freq_dim, dim), nn.SiLU(), Float32Linear(dim, dim))
        self.time_projection = nn.Sequential(nn.SiLU(), Float32Linear(dim, 6 * dim))
        self.blocks = nn.ModuleList(DiTBlock(dim, num_heads, ffn_dim, eps) for _ in range(num_layers))
        self.head = Head(dim, out_dim * math.prod(self.patch_size), eps)

    def _rotary(self, grid: tuple[int, ...], device: torch.device) -> RotaryTable:
        raise NotImplementedError

    def embed_text(self, prompt_embeds: torch.Tensor) -> torch.Tensor:
        """Map prompt embeddings (B, P, text_dim) to the context (B, P, D) of the blocks.

        A technique may take this method's place on one tower (decision 0001).
        """
        context: torch.Tensor = self.text_embedding(prompt_embeds.to(self.dtype))
        return context

    def prepare(self, latents: torch.Tensor, timestep: torch.Tensor, prompt_embeds: torch.Tensor) -> TowerInputs:
        """Embed latents, noise level and text. Touches no parameter itself, it only calls child modules.

        Args:
            latents: (B, C, *grid), any floating dtype.
            timestep: (B,) in [0, 1000], float32.
            prompt_embeds: (B, P, text_dim), all P rows attended to.

        Raises:
            GeometryError: shapes that do not fit the tower or each other.
        """
        batch = latents.shape[0]
        grid = token_grid(latents, self.patch_size)
        if latents.shape[1] != self.in_channels:
            raise GeometryError(f"latents must have {self.in_channels} channels, got {latents.shape[1]}")
        if timestep.shape != (batch,):
            raise GeometryError(f"timestep must be ({batch},), one per sample, got {tuple(timestep.shape)}")
        if prompt_embeds.ndim != 3 or prompt_embeds.shape[0] != batch:
            raise GeometryError(f"prompt_embeds must be ({batch}, P, C), got {tuple(prompt_embeds.shape)}")
        dtype = self.dtype
        time_embedding = self.time_embedding(timestep_embedding(timestep, self.freq_dim))
        return TowerInputs(
            # Under autocast the convolution answers in bfloat16, the residual stream stays in the dtype of the weights.
            tokens=self.patch_embedding(latents.to(dtype)).to(dtype),
            contexts=[self.embed_text(prompt_embeds)] * len(self.blocks),
            time_embedding=time_embedding,
            time_modulation=self.time_projection(time_embedding).unflatten(1, (6, -1)),
            rotary=self._rotary(grid, latents.device),
            grid=grid,
        )

    def finish(self, tokens_BLD: torch.Tensor, inputs: TowerInputs) -> torch.Tensor:
        """Turn the tokens (B, L, D) that left the last block into velocities (B, C, *grid), float32."""
        patches = self.head(tokens_BLD, inputs.time_embedding)
        return unpatchify(patches, inputs.grid, self.patch_size).float()

    def forward(self, latents: torch.Tensor, timestep: torch.Tensor, prompt_embeds: torch.Tensor) -> torch.Tensor:
        """Predict the velocity of one modality alone, as in the pretraining of a tower.

        Args:
            latents: (B, C, *grid).
            timestep: (B,) in [0, 1000], float32.
            prompt_embeds: (B, P, text_dim), all P rows attended to.

        Returns:
            (B, C_out, *grid) float32, noise minus clean.
        """
        inputs = self.prepare(latents, timestep, prompt_embeds)
        tokens = inputs.tokens
        for block, context in zip(self.blocks, inputs.contexts, strict=True):
            tokens = block(tokens, context, inputs.time_modulation, inputs.rotary)
        return self.finish(tokens, inputs)


def _refuse_unused(**flags: bool) -> None:
    for name, value in flags.items():
        if value:
            raise ConfigError(f"{name} must be false: no published MOVA weights have this part, got {value}")


class VideoTower(DiTTower):
    """Tower over (time, height, width), published as `WanModel`. Arguments are the keys of its config.json.

    Args:
        dim: D.
        in_dim: input channels: 16 noisy + 4 mask + 16 condition.
        ffn_dim: width inside the feed-forward.
        out_dim: channels of the velocity.
        text_dim: width of the prompt embeddings.
        freq_dim: width of the sinusoidal timestep embedding.
        eps: of all norms.
        patch_size: latent cells per token along time, height and width.
        num_heads: divides `dim`; the head dimension must fit `split_head_dim`.
        num_layers: blocks.
        require_vae_embedding, require_clip_embedding, in_dim_control_adapter: kept for the published layout; without
            effect on the computation.
        has_image_input, has_image_pos_emb, has_ref_conv, add_control_adapter, seperated_timestep,
            fuse_vae_embedding_in_latents: parts of other models with the same layout; must be false.

    Raises:
        ConfigError: sizes or flags that cannot be used.
    """

    @register_to_config
    def __init__(
        self,
        dim: int = 5120,
        in_dim: int = 36,
        ffn_dim: int = 13824,
        out_dim: int = 16,
        text_dim: int = 4096,
        freq_dim: int = 256,
        eps: float = 1e-6,
        patch_size: Sequence[int] = (1, 2, 2),
        num_heads: int = 40,
        num_layers: int = 40,
        has_image_input: bool = False,
        has_image_pos_emb: bool = False,
        has_ref_conv: bool = False,
        add_control_adapter: bool = False,
        in_dim_control_adapter: int = 24,  # noqa: ARG002
        seperated_timestep: bool = False,
        require_vae_embedding: bool = True,  # noqa: ARG002
        require_clip_embedding: bool = False,  # noqa: ARG002
        fuse_vae_embedding_in_latents: bool = False,
    ) -> None:
        super().__init__()
        _refuse_unused(
            has_image_input=has_image_input,
            has_image_pos_emb=has_image_pos_emb,
            has_ref_conv=has_ref_conv,
            add_control_adapter=add_control_adapter,
            seperated_timestep=seperated_timestep,
            fuse_vae_embedding_in_latents=fuse_vae_embedding_in_latents,
        )
        if len(patch_size) != 3:
            raise ConfigError(f"patch_size must have 3 numbers (time, height, width), got {list(patch_size)}")
        self._build(
            dim=dim,
            in_dim=in_dim,
            ffn_dim=ffn_dim,
            out_dim=out_dim,
            text_dim=text_dim,
            freq_dim=freq_dim,
            eps=eps,
            patch_size=patch_size,
            num_heads=num_heads,
            num_layers=num_layers,
        )
        split_head_dim(self.head_dim)

    def _rotary(self, grid: tuple[int, ...], device: torch.device) -> RotaryTable:
        time, height, width = grid
        return video_rotary((time, height, width), self.head_dim, device)


class AudioTower(DiTTower):
    """Tower over time, published as `WanAudioModel`. Arguments are the keys of its config.json.

    Args:
        vae_type: must be "dac", the autoencoder of all published weights.
        patch_size: latent steps per token, one number.
        dim, in_dim, ...: as for `VideoTower`; the head dimension must be even.

    Raises:
        ConfigError: sizes or flags that cannot be used.
    """

    @register_to_config
    def __init__(
        self,
        dim: int = 1536,
        in_dim: int = 128,
        ffn_dim: int = 8960,
        out_dim: int = 128,
        text_dim: int = 4096,
        freq_dim: int = 256,
        eps: float = 1e-6,
        patch_size: Sequence[int] = (1,),
        num_heads: int = 12,
        num_layers: int = 30,
        has_image_input: bool = False,
        has_image_pos_emb: bool = False,
        has_ref_conv: bool = False,
        add_control_adapter: bool = False,
        in_dim_control_adapter: int = 24,  # noqa: ARG002
        seperated_timestep: bool = False,
        require_vae_embedding: bool = False,  # noqa: ARG002
        require_clip_embedding: bool = False,  # noqa: ARG002
        fuse_vae_embedding_in_latents: bool = False,
        vae_type: str = "dac",
    ) -> None:
        super().__init__()
        _refuse_unused(
            has_image_input=has_image_input,
            has_image_pos_emb=has_image_pos_emb,
            has_ref_conv=has_ref_conv,
            add_control_adapter=add_control_adapter,
            seperated_timestep=seperated_timestep,
            fuse_vae_embedding_in_latents=fuse_vae_embedding_in_latents,
        )
        if vae_type != "dac":
            raise ConfigError(f"vae_type must be 'dac', got {vae_type!r}")
        if len(patch_size) != 1:
            raise ConfigError(f"patch_size must have 1 number (time), got {list(patch_size)}")
        self._build(
            dim=dim,
            in_dim=in_dim,
            ffn_dim=ffn_dim,
            out_dim=out_dim,
            text_dim=text_dim,
            freq_dim=freq_dim,
            eps=eps,
            patch_size=patch_size,
            num_heads=num_heads,
            num_layers=num_layers,
        )
        if self.head_dim % 2:
            raise ConfigError(f"head dimension must be even, got {self.head_dim} (dim {dim} / num_heads {num_heads})")

    def _rotary(self, grid: tuple[int, ...], device: torch.device) -> RotaryTable:
        return audio_rotary(grid[0], self.head_dim, device)
