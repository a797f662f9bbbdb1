"""Values that several verbs read from the command line in the same way."""

from __future__ import annotations

from pathlib import Path
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
HoldNoiseOption = Annotated[
    float | None,
    typer.Option(
        help="Noise augmentation of a video or an audio that is given whole: its share of each step's noise level, "
        "0 (clean) to 1; default: what the model recommends."
    ),
]
RetriesOption = Annotated[
    int | None,
    typer.Option(
        help="How often a clip that came out flat, frozen or not finite is made again with another seed (default 2)."
    ),
]
ExtendOption = Annotated[
    Path | None,
    typer.Option(metavar="CLIP", help="Clip to go on from, in video and audio; the new file begins with it."),
]
LengthOption = Annotated[
    float | None,
    typer.Option(help="Length of the whole file in seconds; a clip that is longer than --frames is made in windows."),
]
OverlapOption = Annotated[
    float | None,
    typer.Option(help="Seconds that each window takes over from the one before (default: a quarter of a window)."),
]
WindowsOption = Annotated[
    str | None,
    typer.Option(help="How a long clip is made: continue (default; window after window) or joint (all together)."),
]
PromptAtOption = Annotated[
    list[str] | None,
    typer.Option(metavar="TIME=TEXT", help="Prompt from this second of a long clip on; may be repeated."),
]
