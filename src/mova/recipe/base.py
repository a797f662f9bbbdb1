"""What all sections of a recipe are made of: strict models, and sizes that the networks can take."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mova.geometry import nearest_multiples


class Strict(BaseModel):
    """Frozen; every unknown key is an error, and so is a number that is not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def check_size(value: int) -> int:
    """Return a size in pixels that the video autoencoder and the patches divide, or say which are near."""
    below, above = nearest_multiples(value, 16)
    if below != above:
        raise ValueError(f"must be a multiple of 16; nearest are {below} and {above}")
    return value


def check_num_frames(value: int) -> int:
    """Return a frame count that the video autoencoder folds without rest, or say which are near."""
    below = (value - 1) // 4 * 4 + 1
    if value != below:
        raise ValueError(f"must be 1 plus a multiple of 4; nearest are {below} and {below + 4}")
    return value


# More than any run has; a slip of the keyboard ends here, and not hours later.
MOST_STEPS: Final = 10**9
MOST_SAMPLES: Final = 2**20
# Each takes some hundred megabytes.
MOST_WORKERS: Final = 256
MOST_SCALE: Final = 1000.0
Size = Annotated[int, Field(ge=16, le=8192), AfterValidator(check_size)]
NumFrames = Annotated[int, Field(ge=5, le=99_997), AfterValidator(check_num_frames)]


def nearest_name(name: str, known: Sequence[str]) -> str:
    """Return the end of an error text: the known name that is meant, or all of them."""
    near = difflib.get_close_matches(name, known, 1, cutoff=0.5) if len(name) < 80 else []
    return f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"
