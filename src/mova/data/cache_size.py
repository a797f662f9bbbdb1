"""How many bytes encoded clips and captions take, from a model's configs: on disk, and in host memory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mova.data import cache
from mova.errors import CheckpointError
from mova.files.json_file import read_object
from mova.geometry import ClipGeometry, CodecGeometry
from mova.names import AUTOENCODERS, TEXT_ENCODER
from mova.weights.dims import MAX_PROMPT_TOKENS, codec_from_configs
from mova.weights.locate import read_config_file

_FLOAT16 = 2
# Names, shapes and a checksum in front of the tensors of a file.
_HEADER = 1024


@dataclass(frozen=True)
class EncodedSizes:
    """Shapes of what the encoders of a model give.

    Attributes:
        codec: strides, rates and channels of the autoencoders.
        num_prompt_tokens: P.
        text_dim: D.
    """

    codec: CodecGeometry
    num_prompt_tokens: int
    text_dim: int

    def clip_bytes(self, size: tuple[int, int], num_frames: int, frame_rate: float) -> int:
        """Return the bytes of one clip of (height, width): latents, condition, mask, and what of them counts."""
        clip = ClipGeometry(*size, num_frames, frame_rate, self.codec)
        video, audio = math.prod(clip.video_latent_shape), math.prod(clip.audio_latent_shape)
        frames = clip.num_latent_frames
        return _FLOAT16 * (2 * video + self.codec.temporal_stride * frames + audio + frames + clip.num_audio_latents)

    @property
    def text_bytes(self) -> int:
        """Bytes of one caption."""
        return _FLOAT16 * self.num_prompt_tokens * self.text_dim

    def files_bytes(self, clips: Sequence[int], num_texts: int) -> int:
        """Return the bytes on disk of clips of the given bytes, and of some captions."""
        return sum(clips) + num_texts * self.text_bytes + _HEADER * (len(clips) + num_texts)


def held_bytes(clips: int, texts: int, known: int = 0) -> int:
    """Return how much of a split's clips, captions and other known frames, in bytes, is kept in host memory: all of
    each kind, or none."""
    held = 0
    for kind in (clips, texts, known):
        held += kind if held + kind <= cache.IN_MEMORY else 0
    return held


def sizes_from_configs(
    configs: Mapping[str, Mapping[str, Any]], num_prompt_tokens: int = MAX_PROMPT_TOKENS
) -> EncodedSizes:
    """Derive the shapes from the published keys of the encoders.

    Args:
        configs: content of each component's `config.json`, by folder.
        num_prompt_tokens: P.

    Raises:
        CheckpointError: an encoder or a key is missing.
    """
    missing = [part for part in (*AUTOENCODERS, TEXT_ENCODER) if part not in configs]
    if missing:
        raise CheckpointError(
            f"encoding needs {', '.join(missing)}; the model has {', '.join(sorted(configs)) or 'none'}"
        )
    try:
        codec = codec_from_configs(configs["video_vae"], configs["audio_vae"])
        return EncodedSizes(codec, num_prompt_tokens, int(configs["text_encoder"]["d_model"]))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"the configs of the encoders must say what they give: {error}") from error


def sizes_from_directory(model: Path) -> EncodedSizes:
    """Derive the shapes from a model directory; errors as in `sizes_from_configs`."""
    configs = {path.parent.name: read_config_file(path) for path in sorted(model.glob("*/config.json"))}
    tokenizer = model / "tokenizer" / "tokenizer_config.json"
    longest = float(MAX_PROMPT_TOKENS)
    if tokenizer.is_file():
        # Tokenizers without a limit of their own say 1e30.
        longest = read_object(tokenizer, error=CheckpointError).number("model_max_length", longest, least=1)
    return sizes_from_configs(configs, int(min(MAX_PROMPT_TOKENS, longest)))
