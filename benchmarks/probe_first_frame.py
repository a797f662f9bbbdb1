"""Encoding the known frames of a clip: frames that repeat computed once, against all of them.

    .venv/bin/python benchmarks/probe_first_frame.py --model mova-tiny
    .venv/bin/python benchmarks/probe_first_frame.py --model published --frames 193 --side 32

A white frame and grey ones after it, as a condition has them, in turns and in processor time of one thread. "published"
is the configuration of the published video autoencoder with random weights. Ends with an error if the latents differ
in a bit.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from unittest import mock

import torch

from mova.codecs import video_repeats
from mova.codecs.video import encode_video
from mova.kernels.cpu_conv import fold_causal_convolutions
from mova.names import SHIPPED_MODELS
from mova.weights.components import load_component


def read_options() -> argparse.Namespace:
    """Return the options of the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("mova-tiny", "published"), default="mova-tiny")
    parser.add_argument("--frames", type=int, default=49, help="1 plus a multiple of 4")
    parser.add_argument("--side", type=int, default=128, help="height and width in pixels")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def autoencoder(model: str) -> torch.nn.Module:
    """Return the video autoencoder as the command computes it on a CPU in float32."""
    if model == "published":
        from diffusers import AutoencoderKLWan

        torch.manual_seed(0)
        found: torch.nn.Module = AutoencoderKLWan().eval().requires_grad_(False)
    else:
        found = load_component(SHIPPED_MODELS / model / "video_vae").float()
    fold_causal_convolutions(found)
    return found


@torch.no_grad()
def main() -> None:
    """Measure and print."""
    chosen = read_options()
    torch.set_num_threads(1)
    vae = autoencoder(chosen.model)
    frames = torch.zeros(1, 3, chosen.frames, chosen.side, chosen.side)
    frames[:, :, 0] = 1
    whole, once = [], []
    for _ in range(chosen.rounds):
        start = time.process_time()
        with mock.patch.object(video_repeats, "_can_stop", return_value=False):
            expected = encode_video(vae, frames)
        middle = time.process_time()
        found = encode_video(vae, frames)
        once.append(time.process_time() - middle)
        whole.append(middle - start)
        if not torch.equal(expected, found):
            raise SystemExit("latents must be the same bits, got others")
    ratio = statistics.median(new / old for new, old in zip(once, whole, strict=True))
    sys.stdout.write(
        f"{chosen.model}, {chosen.frames} frames of {chosen.side}x{chosen.side}: all frames "
        f"{statistics.median(whole):.2f} s, repeats once {statistics.median(once):.2f} s, ratio {ratio:.2f}\n"
    )


if __name__ == "__main__":
    main()
