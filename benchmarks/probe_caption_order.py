"""Whether the prompt embeddings of a model say which of the things in a row of its caption comes first, second, ...

    .venv/bin/python benchmarks/probe_caption_order.py --model mova-tiny
    .venv/bin/python benchmarks/probe_caption_order.py --model runs/text/model --ranked

A linear classifier reads the rank of a word from the embedding of that word alone; the towers, which attend to words
without knowing their positions, have nothing else to go by. For every kind of scene with a row (bars, keys, vowels,
turns), in the half of the caption that tells the picture and in the one that tells the sound.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mova.codecs.prompt import encode_prompts, load_tokenizer
from mova.toyworld import sample_scene, split_seed
from mova.toyworld.caption import caption
from mova.toyworld.vocabulary import PITCH_WORD, VOWEL_WORD
from mova.weights.components import load_component
from mova.weights.locate import find_model

# Of each scene with a row, its words in the video's half and in the audio's half; of longer terms the last word.
ROWS: dict[str, Callable[[Any], tuple[list[str], list[str]]]] = {
    "mallet": lambda scene: (list(scene.colours), [PITCH_WORD[colour].split()[-1] for colour in scene.colours]),
    "keys": lambda scene: (list(scene.notes), list(scene.notes)),
    "face": lambda scene: ([VOWEL_WORD[vowel] for vowel in scene.vowels],) * 2,
    "duet": lambda scene: (list(scene.sides), [VOWEL_WORD[vowel] for vowel in scene.vowels]),
}
NUM_CAPTIONS = 500
TRAINING_SHARE = 0.8
NUM_STEPS = 300


def places_of(pieces: list[str], row: list[str]) -> list[int]:
    """Return where the words of a row stand in some pieces, or nothing where they cannot be told apart from others."""
    words = [piece.strip("▁") for piece in pieces]
    found = [
        place
        for place, word in enumerate(words)
        # A pale green wall is no green bar.
        if word in set(row) and (place == 0 or words[place - 1] != "pale")
    ]
    return found if [words[place] for place in found] == row else []


@torch.no_grad()
def collect(model: str, kind: str, ranked: bool) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return, for each half, embeddings (N, D) of words in a row and their ranks (N,)."""
    folder = Path(model) if Path(model, "text_encoder").is_dir() else find_model(model)
    tokenizer = load_tokenizer(folder / "tokenizer")
    encoder = load_component(folder / "text_encoder", dtype=torch.float32)
    halves: list[tuple[list[torch.Tensor], list[int]]] = [([], []), ([], [])]
    for index in range(NUM_CAPTIONS):
        scene = sample_scene(split_seed("train", index), kind=kind)
        text = caption(scene, ranked=ranked)
        pieces = tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"])
        rows = encode_prompts(tokenizer, encoder, [text]).embeds[0].float()
        middle = next(place for place, piece in enumerate(pieces) if piece.strip("▁") == "audio")
        for (embeddings, ranks), row, first, last in zip(
            halves, ROWS[kind](scene), (0, middle), (middle, len(pieces)), strict=True
        ):
            places = places_of(pieces[first:last], row)
            embeddings += [rows[first + place] for place in places]
            ranks += range(len(places))
    return [(torch.stack(embeddings), torch.tensor(ranks)) for embeddings, ranks in halves if ranks]


def probe(embeddings: torch.Tensor, ranks: torch.Tensor) -> tuple[float, float]:
    """Return the share of held-out words whose rank is read right, and the share of the commonest rank."""
    torch.manual_seed(0)
    split = int(TRAINING_SHARE * len(ranks))
    classifier = torch.nn.Linear(embeddings.shape[1], int(ranks.max()) + 1)
    optimizer = torch.optim.Adam(classifier.parameters(), 1e-2)
    for _ in range(NUM_STEPS):
        loss = torch.nn.functional.cross_entropy(classifier(embeddings[:split]), ranks[:split])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    right = (classifier(embeddings[split:]).argmax(1) == ranks[split:]).float().mean()
    return float(right), float(ranks.bincount().max() / len(ranks))


def main() -> None:
    """Train the probes and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mova-tiny", help="a model, or a folder with text_encoder and tokenizer")
    parser.add_argument("--ranked", action="store_true", help="captions that say the place of each thing")
    chosen = parser.parse_args()
    lines = ["| scene | in the picture's half | in the sound's half | commonest rank |", "| --- | --- | --- | --- |"]
    for kind in ROWS:
        found = [probe(*half) for half in collect(chosen.model, kind, chosen.ranked)]
        # A tokenizer that never met these words cuts them into letters.
        cells = [f"{right:.2f}" for right, _ in found] if len(found) == 2 else ["unknown words"] * 2
        commonest = f"{found[0][1]:.2f}" if found else "-"
        lines.append(f"| {kind} | {' | '.join(cells)} | {commonest} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
