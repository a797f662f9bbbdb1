"""The change of the two video experts as a LoRA file of at most so many bytes, or a part of it as a model.

    BASE=src/mova/assets/mova-tiny
    .venv/bin/python benchmarks/expert_lora.py --base $BASE --model runs/tiny_conditions/model --out lora.safetensors
    .venv/bin/python benchmarks/expert_lora.py --base $BASE --model runs/tiny_conditions/mova-tiny \
        --mix 0.6 0.5 --out mixed

Of every matrix those singular values are kept that say most for their bytes, as factors in 8 bits (float8_e4m3: its
error is far below what is left out); vectors are kept whole, in bfloat16. With `--mix` a copy of the model goes to OUT
that has so much of the change of the high-noise and of the low-noise expert.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from mova.names import EXPERTS

_FILE = "diffusion_pytorch_model.safetensors"
# The largest number of float8_e4m3fn is 448.
_LARGEST = 440.0


def as_lora(base: Path, model: Path, most_bytes: float) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """Return the tensors of the file, and the share of the energy of each expert's matrices that it keeps."""
    made: dict[str, torch.Tensor] = {}
    parts, energy, candidates = {}, dict[str, float](), []
    for part in EXPERTS.values():
        before, after = load_file(base / part / _FILE), load_file(model / part / _FILE)
        found: list[tuple[float, str, int, int]] = []
        for key, value in before.items():
            change = after[key].float() - value.float()
            name, _, kind = f"{part}.{key}".rpartition(".")
            if change.ndim == 2 and kind == "weight" and min(change.shape) > 1:
                parts[name] = torch.linalg.svd(change, full_matrices=False)
                length = sum(change.shape)  # bytes of one singular value's vectors
                found += [(float(one) ** 2 / length, name, rank, length) for rank, one in enumerate(parts[name][1])]
            else:
                ending = {"weight": f"{name}.diff", "bias": f"{name}.diff_b"}.get(kind, f"{part}.{key}.diff")
                made[ending] = change.to(torch.bfloat16)
        energy[part] = sum(gain * length for gain, _, _, length in found)
        # By the share of its expert's change: the one that changed less is no less needed.
        candidates += [(gain / energy[part], name, rank, length) for gain, name, rank, length in found]
    size, ranks = sum(2 * one.numel() for one in made.values()), dict[str, int]()
    for _, name, rank, length in sorted(candidates, reverse=True):
        if size + length > most_bytes:
            break
        size, ranks[name] = size + length, max(ranks.get(name, 0), rank + 1)
    for name, rank in ranks.items():
        left, values, right = parts[name]
        root = values[:rank].sqrt()
        up, down = left[:, :rank] * root, root[:, None] * right[:rank]
        scale = _LARGEST / max(float(up.abs().max()), float(down.abs().max()))
        made[f"{name}.lora_B.weight"] = (scale * up).to(torch.float8_e4m3fn).contiguous()
        made[f"{name}.lora_A.weight"] = (scale * down).to(torch.float8_e4m3fn).contiguous()
        # The update counts alpha / rank: what the factors were multiplied by is undone.
        made[f"{name}.alpha"] = torch.tensor(rank / scale**2)
    kept = dict.fromkeys(energy, 0.0)
    for name, rank in ranks.items():
        kept[name.partition(".")[0]] += float((parts[name][1][:rank] ** 2).sum())
    return made, {part: kept[part] / energy[part] for part in energy}


def mix(base: Path, model: Path, shares: list[float], out: Path) -> None:
    """Write a copy of a model with a share of the change of each expert."""
    shutil.copytree(model, out)
    for part, share in zip(EXPERTS.values(), shares, strict=True):
        before, after = load_file(base / part / _FILE), load_file(model / part / _FILE)
        mixed = {key: torch.lerp(before[key].float(), one.float(), share).to(one.dtype) for key, one in after.items()}
        save_file(mixed, out / part / _FILE, metadata={"format": "pt"})


def main() -> None:
    """Write the file or the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--most-bytes", type=float, default=4.85e6)
    parser.add_argument("--mix", type=float, nargs=2, metavar=("HIGH", "LOW"))
    options = parser.parse_args()
    if options.mix:
        mix(options.base, options.model, options.mix, options.out)
        return
    tensors, kept = as_lora(options.base, options.model, options.most_bytes)
    save_file(tensors, options.out, metadata={"base_model": "mova-tiny", "format": "pt"})
    shares = ", ".join(f"{share:.2f} of the change of {part}" for part, share in kept.items())
    sys.stdout.write(f"{options.out}: {options.out.stat().st_size} bytes, {shares}\n")


if __name__ == "__main__":
    main()
