"""Values that several verbs read from the command line in the same way."""

from __future__ import annotations

from typing import Annotated

import typer

CompileOption = Annotated[
    bool | None,
    typer.Option(
        "--compile/--no-compile",
        help="Compile the transformer blocks first: slower start, faster steps. By default on CUDA where the run is "
        "long enough to gain by it.",
    ),
]
PrecisionOption = Annotated[
    str, typer.Option(help="Precision: auto, float32 or bfloat16; auto is bfloat16 where that holds.")
]
RetriesOption = Annotated[
    int | None,
    typer.Option(
        help="How often a clip that came out flat, frozen or not finite is made again with another seed (default 2)."
    ),
]
