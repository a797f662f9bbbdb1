"""Which expert reads colours from the caption, from text alone; and which one needs the first frame.

    .venv/bin/python benchmarks/probe_caption_colours.py mova-tiny runs/tiny_conditions/mova-tiny
    .venv/bin/python benchmarks/probe_caption_colours.py --blind high_noise evaluate toyworld --model mova-tiny \
        --clips 16 --seed 0 --speed fastest --kind duet --kind balls --kind ball --kind face

The first prints the velocity error in the rows of hats of 12 clips from text alone, with their caption and with one of
other colours: as long as both are equal, the colour is not read. The second runs a command of `mova` in which one
expert sees no known frame.
"""

from __future__ import annotations

import re
import sys
from typing import Any

import torch

from mova.codecs.audio import encode_audio
from mova.codecs.prompt import encode_prompts
from mova.codecs.video import encode_video, frames_to_tensor
from mova.models.dual_tower import DualTower
from mova.models.experts import pair_towers
from mova.names import COMPONENTS
from mova.pipeline.pipeline import MovaPipeline
from mova.toyworld import render, sample_scene, split_seed
from mova.toyworld.caption import caption

COLOURS = ("red", "yellow", "green", "blue", "purple")
HATS = slice(1, 6)  # rows of the latents
BOUNDARY = 900.0


def recoloured(text: str) -> str:
    """Return a caption with the colours of its hats exchanged."""
    found = re.compile(rf"\b({'|'.join(COLOURS)})(?= hat| and a )")
    return found.sub(lambda match: COLOURS[(COLOURS.index(match[0]) + 2) % len(COLOURS)], text)


@torch.no_grad()
def errors(model: str, number: int = 12) -> None:
    """Print the errors of a model."""
    pipeline: Any = MovaPipeline.from_pretrained(model)
    scenes = [
        sample_scene(split_seed("validation", index), kinds=("face", "duet"), combinations="training")
        for index in range(number)
    ]
    clips = [render(scene, size=128, num_frames=49).clip for scene in scenes]
    vae, audio_vae = pipeline.video_vae.float(), pipeline.audio_vae.float()
    video = torch.cat([encode_video(vae, frames_to_tensor(clip.frames)) for clip in clips])
    audio = torch.cat([encode_audio(audio_vae, torch.from_numpy(clip.waveform).float()[None]) for clip in clips])
    texts = [caption(scene) for scene in scenes]
    prompts = [
        encode_prompts(pipeline.tokenizer, pipeline.text_encoder, some).embeds.float()
        for some in (texts, [recoloured(text) for text in texts])
    ]
    towers = pair_towers({name: getattr(pipeline, name) for name in COMPONENTS})
    for sigma in (0.98, 0.95, 0.91, 0.88, 0.8):
        draw = torch.Generator().manual_seed(1)
        noise, noise_audio = torch.randn(video.shape, generator=draw), torch.randn(audio.shape, generator=draw)
        noisy = (1 - sigma) * video + sigma * noise
        told = torch.cat([noisy, torch.zeros(number, 20, *video.shape[2:])], 1)
        time = torch.full((number,), 1000 * sigma)
        tower = towers["high_noise" if sigma >= BOUNDARY / 1000 else "low_noise"]
        heard = (1 - sigma) * audio + sigma * noise_audio
        found = []
        for embeds in prompts:
            with torch.autocast("cpu", torch.bfloat16):
                velocity = tower(told, heard, time, time, embeds, frame_rate=24.0).video
            found.append(float(((velocity.float() - (noise - video)) ** 2)[..., HATS, :].mean()))
        sys.stdout.write(f"{model} sigma {sigma}: hats {found[0]:.4f}, with other colours {found[1]:.4f}\n")


def blind(expert: str, arguments: list[str]) -> None:
    """Run `mova` with an expert that sees no known frame."""
    forward = DualTower.forward

    def without_frames(self: DualTower, latents: torch.Tensor, *rest: Any, **options: Any) -> Any:
        is_high = float(rest[1].flatten()[0]) >= BOUNDARY
        if is_high == (expert == "high_noise"):
            latents = torch.cat([latents[:, :16], torch.zeros_like(latents[:, 16:])], 1)
        return forward(self, latents, *rest, **options)

    DualTower.forward = without_frames  # type: ignore[method-assign]
    from mova.cli.app import main

    raise SystemExit(main(arguments))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--blind"]:
        blind(sys.argv[2], sys.argv[3:])
    if sys.argv[1:] in ([], ["--help"]):
        sys.stdout.write(f"{__doc__}")
    for named in sys.argv[1:]:
        if named != "--help":
            errors(named)
