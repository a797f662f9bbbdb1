"""Whether the prompt embeddings of a model say which of the colours of a caption comes first, second, ...

    .venv/bin/python benchmarks/probe_caption_order.py --model mova-tiny

A linear classifier reads the rank of a colour word from the embedding of that word alone; the towers, which attend to
words without knowing their positions, have nothing else to go by.
"""

from __future__ import annotations

import argparse
import sys

import torch

from mova.codecs.prompt import encode_prompts
from mova.generate.load import load_pipeline
from mova.toyworld import sample_scene, split_seed
from mova.toyworld.caption import caption
from mova.toyworld.vocabulary import COLOURS

NUM_CAPTIONS = 700
TRAINING_SHARE = 0.8
NUM_STEPS = 400


@torch.no_grad()
def colour_words(model: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the embeddings (N, D) of the colour words of mallet captions and their ranks (N,)."""
    pipeline = load_pipeline(model)
    embeddings, ranks = [], []
    for index in range(NUM_CAPTIONS):
        text = caption(sample_scene(split_seed("train", index), kind="mallet"))
        rows = encode_prompts(pipeline.tokenizer, pipeline.text_encoder, [text]).embeds[0]
        pieces = pipeline.tokenizer.convert_ids_to_tokens(pipeline.tokenizer(text)["input_ids"])
        places = [place for place, piece in enumerate(pieces) if piece.strip("▁") in COLOURS]
        embeddings += [rows[place].float() for place in places]
        ranks += range(len(places))
    return torch.stack(embeddings), torch.tensor(ranks)


def main() -> None:
    """Train the probe and print its accuracy by rank."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mova-tiny")
    embeddings, ranks = colour_words(parser.parse_args().model)
    torch.manual_seed(0)
    split = int(TRAINING_SHARE * len(ranks))
    probe = torch.nn.Linear(embeddings.shape[1], int(ranks.max()) + 1)
    optimizer = torch.optim.Adam(probe.parameters(), 1e-2)
    for _ in range(NUM_STEPS):
        loss = torch.nn.functional.cross_entropy(probe(embeddings[:split]), ranks[:split])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    right = (probe(embeddings[split:]).argmax(1) == ranks[split:]).float()
    lines = [f"rank of a colour word read from its embedding: {right.mean():.2f} of {len(right)} words"]
    lines += [
        f"  word {rank + 1}: {right[ranks[split:] == rank].mean():.2f}"
        for rank in range(int(ranks.max()) + 1)
        if (ranks[split:] == rank).any()
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
