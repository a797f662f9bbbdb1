"""The fingerprint of a model's weights, by which clips say what made them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mova.files.fingerprint import add_sampled
from mova.names import NETWORKS
from mova.weights.files import weight_files
from mova.weights.index import named_classes


def weights_hash(folder: Path) -> str:
    """Return a fingerprint of a model's weights, for the metadata of clips.

    SHA-256 over the name and size of every weight file that is loaded of towers, bridge, autoencoders and text encoder,
    and over its content (see `add_sampled`). Other files beside them do not count.

    Raises:
        CheckpointError: the index or a component's files cannot be read.
    """
    digest = hashlib.sha256()
    named = named_classes(folder)
    for name in NETWORKS:
        for file in weight_files(folder / name)[1] if name in named else ():
            size_bytes = file.stat().st_size
            digest.update(f"{name}/{file.name}/{size_bytes}".encode())
            add_sampled(digest, file, size_bytes)
    return digest.hexdigest()
