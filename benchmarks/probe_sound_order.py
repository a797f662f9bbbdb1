"""Whether the audio tower alone, without bridge or picture, follows the row of notes or vowels that a caption names.

    .venv/bin/python benchmarks/probe_sound_order.py --model mova-tiny
    .venv/bin/python benchmarks/probe_sound_order.py --model runs/tiny_grow/model --clips 64

Sounds are made from captions of held-out scenes with 20 guided UniPC steps. What is heard is compared with the caption:
how many clips have as many events, how many places of all rows are right, and how many clips are right as a whole. Of a
face the vowel counts, of two faces also the voice. The chance of a place is that of a guess among all notes or vowels.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from mova.codecs.audio import decode_audio
from mova.codecs.prompt import encode_prompts, load_tokenizer
from mova.diffusion.flow import shift_sigma
from mova.diffusion.noise import draw_noise
from mova.diffusion.unipc import UniPC
from mova.evaluate.stats import Estimate, mean, ratio
from mova.geometry import ClipGeometry, CodecGeometry
from mova.toyworld import sample_scene, split_seed
from mova.toyworld.caption import caption
from mova.toyworld.scenes.registry import SCENES
from mova.toyworld.scenes.scene import Scene
from mova.toyworld.vocabulary import COLOURS, NOTES, VOICE_HZ, VOWEL_WORD
from mova.weights.components import load_component
from mova.weights.locate import find_model

# How an event is named in a row.
NAMED = {"mallet": "{0.colour}", "keys": "{0.colour}", "face": "{0.timbre}", "duet": "{0.colour} {0.timbre}"}
CHOICES = {
    "mallet": len(COLOURS),
    "keys": len(NOTES),
    "face": len(VOWEL_WORD),
    "duet": len(VOWEL_WORD) * len(VOICE_HZ),
}
NUM_FRAMES, FRAME_RATE = 49, 24.0
FILM_SIZE = 16, 16  # of a film that nobody looks at
NUM_STEPS = 20
BATCH = 16


class AudioTowerAlone:
    """Text encoder, audio tower and decoder of a model.

    Args:
        model: a shipped name, or a folder that has these parts.
        guidance_scale: classifier-free guidance scale for the text prompt.
        shift: shift of the noise levels.
    """

    def __init__(self, model: str, guidance_scale: float, shift: float) -> None:
        folder = Path(model) if Path(model, "audio_dit").is_dir() else find_model(model)
        self.tokenizer = load_tokenizer(folder / "tokenizer")
        self.text_encoder, self.tower, self.autoencoder = (
            load_component(folder / name, dtype=torch.float32) for name in ("text_encoder", "audio_dit", "audio_vae")
        )
        codec = CodecGeometry(
            sample_rate=self.autoencoder.config.sample_rate,
            hop_length=self.autoencoder.hop_length,
            audio_channels=self.autoencoder.config.latent_dim,
        )
        self.geometry = ClipGeometry(*FILM_SIZE, NUM_FRAMES, FRAME_RATE, codec)
        self.guidance_scale = guidance_scale
        times = torch.linspace(1, 0, NUM_STEPS + 1, dtype=torch.float64)
        self.sigmas = shift_sigma(times, shift).tolist()

    @torch.no_grad()
    def __call__(self, prompts: Sequence[str], first: int) -> np.ndarray:
        """Return waveforms (B, 1, S); `first` numbers the noise of the first prompt."""
        texts, none = (
            encode_prompts(self.tokenizer, self.text_encoder, list(part)).embeds.float() for part in (prompts, ("",))
        )
        none = none.expand_as(texts)
        shape = self.geometry.audio_latent_shape
        latents = torch.stack(
            [draw_noise(shape, seed=0, stream="audio", sample_index=first + row) for row in range(len(prompts))]
        )
        sampler = UniPC(self.sigmas)
        for step, sigma in enumerate(self.sigmas[:-1]):
            timestep = torch.full((len(prompts),), 1000 * sigma)
            plain = self.tower(latents, timestep, none)
            velocity = plain + self.guidance_scale * (self.tower(latents, timestep, texts) - plain)
            latents = sampler.step(step, latents, velocity)
        return decode_audio(self.autoencoder, latents, num_samples=self.geometry.num_samples).numpy()


def row_heard(waveform: np.ndarray, sample_rate: int, kind: str) -> list[str]:
    """Return what is heard, in order, in the words of `row_wanted`."""
    return [NAMED[kind].format(event) for event in SCENES[kind].hear(waveform, sample_rate)]


def row_wanted(scene: Scene) -> list[str]:
    """Return what the caption asks for, in order."""
    voice_of = {hz: voice for voice, hz in VOICE_HZ.items()}
    events = [
        replace(event, colour=voice_of.get(event.pitch_hz, event.colour))
        for event in scene.events(NUM_FRAMES / FRAME_RATE)
    ]
    return [NAMED[scene.kind].format(event) for event in events]


def measure(alone: AudioTowerAlone, kind: str, num_clips: int) -> tuple[Estimate, Estimate, Estimate]:
    """Return the shares of clips with as many events, of places and of whole clips that are right."""
    scenes = [
        sample_scene(split_seed("heldout", index), kind=kind, combinations="training") for index in range(num_clips)
    ]
    rows: list[tuple[list[str], list[str]]] = []
    for first in range(0, num_clips, BATCH):
        part = scenes[first : first + BATCH]
        waveforms = alone([caption(scene) for scene in part], first)
        rate = alone.geometry.codec.sample_rate
        rows += [
            (row_wanted(scene), row_heard(waveform, rate, kind))
            for scene, waveform in zip(part, waveforms, strict=True)
        ]
    right = [sum(one == other for one, other in zip(wanted, heard, strict=False)) for wanted, heard in rows]
    return (
        mean([float(len(wanted) == len(heard)) for wanted, heard in rows]),
        ratio(right, [len(wanted) for wanted, _ in rows]),
        mean([float(wanted == heard) for wanted, heard in rows]),
    )


def cell(estimate: Estimate) -> str:
    """Return a figure with its interval."""
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def main() -> None:
    """Make sounds and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mova-tiny", help="a model, or a folder with its audio parts")
    parser.add_argument("--clips", type=int, default=64, help="of each kind of scene")
    parser.add_argument("--guidance-scale", type=float, default=2.0)
    parser.add_argument("--shift", type=float, default=3.0)
    chosen = parser.parse_args()
    if chosen.clips < 1:
        parser.error(f"--clips must be 1 or more, got {chosen.clips}; nearest is 1")
    alone = AudioTowerAlone(chosen.model, chosen.guidance_scale, chosen.shift)
    lines = ["| scene | as many events | places right | chance of a place | right as a whole |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for kind in NAMED:
        number, places, whole = (cell(figure) for figure in measure(alone, kind, chosen.clips))
        lines.append(f"| {kind} | {number} | {places} | {1 / CHOICES[kind]:.2f} | {whole} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
