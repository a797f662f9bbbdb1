"""Which techniques there are, in which order they are applied, and which of them go together (no torch here).

A technique changes how a model computes, from outside: where its weights are, in how many bits, on how many processes,
what is computed anew. Whoever applies one asks here first. It stands below all that apply them: plans and recipes ask
before anything is loaded. The page on it is docs/decisions/0001-hooks-and-the-joint-forward.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from itertools import combinations
from typing import Final

from mova.errors import ConfigError


class Technique(StrEnum):
    """All of them, in the order in which they are applied: weights first, then what computes, then hooks around it."""

    LORA = "LoRA merge"
    QUANTISED = "quantised layers"
    FOLDED = "folded convolutions"
    ONEDNN = "oneDNN linear layers"
    CASTING = "layer-wise casting"
    COMPILED = "compiled blocks"
    CHECKPOINTING = "activation checkpointing"
    ACTIVATION_OFFLOAD = "activation offload"
    PHASES = "offload by phases"
    STREAMING = "block streaming"
    GROUP_OFFLOAD = "diffusers' group offload"
    SHARDED = "sharded weights"
    CONTEXT_PARALLEL = "context parallelism"
    BRANCH_PARALLEL = "guidance branches on several processes"
    STEP_CACHE = "step cache"
    SIDE_STREAM = "audio tower on a side stream"
    TEXT_CACHE = "text K/V cache"


_T = Technique
_Pair = tuple[Technique, Technique]

SEVERAL_PROCESSES: Final = (_T.SHARDED, _T.CONTEXT_PARALLEL, _T.BRANCH_PARALLEL)
"""Those that need other processes."""

_RESIDENT = (
    "with several processes memory must be resident (or auto, which is), got {0} with {1}; shard_weights is what takes "
    "less memory there"
)
_ONE_PROCESS_CACHE = (
    "step_cache is for one process, which sees all tokens of the video, got {1} with {0}; nearest is 0, which is off"
)
_ONE_MOVER = "one technique at a time moves weights, got {0} and {1}; leave one of the two out"
_FOR_ONE_PROCESS = "{0} is for one process when training, got {1}; set parallel to 1"

# In each pair the technique that is applied first stands first; {0} and {1} are what was given for the two.
_REFUSED: Final[Mapping[_Pair, str]] = {
    (_T.QUANTISED, _T.SHARDED): "shard_weights shares plain weights by their rows, got {0}; leave one of the two out",
    (_T.QUANTISED, _T.CASTING): "weights are stored in one way, got {0} and {1}; leave one of the two out",
    (_T.CASTING, _T.SHARDED): (
        "shard_weights gathers weights in the dtype that they compute in, got {0}; leave one of the two out"
    ),
    (_T.COMPILED, _T.CONTEXT_PARALLEL): (
        "compile is for blocks that compute alone: with ring or ulysses they exchange tokens inside, got {1} processes "
        "that share a clip; nearest is 1 (share the branches), or no compile"
    ),
    **{(one, several): _RESIDENT for one in (_T.PHASES, _T.STREAMING) for several in SEVERAL_PROCESSES},
    **{(one, _T.GROUP_OFFLOAD): _ONE_MOVER for one in (_T.PHASES, _T.STREAMING)},
    **{(_T.GROUP_OFFLOAD, several): _ONE_MOVER for several in SEVERAL_PROCESSES},
    **{(several, _T.STEP_CACHE): _ONE_PROCESS_CACHE for several in SEVERAL_PROCESSES},
}

# Besides, where gradients are wanted.
_REFUSED_IN_TRAINING: Final[Mapping[_Pair, str]] = {
    (_T.COMPILED, _T.STREAMING): "memory.stream_blocks moves weights under the blocks; set run.compile to false",
    **{(_T.QUANTISED, several): _FOR_ONE_PROCESS for several in SEVERAL_PROCESSES},
    **{(_T.ACTIVATION_OFFLOAD, several): _FOR_ONE_PROCESS for several in SEVERAL_PROCESSES},
}

# Those that are chosen by no setting step back where the other one is in use.
_GIVES_WAY: Final[Mapping[_Pair, str]] = {
    (other, _T.SIDE_STREAM): "hooks on audio blocks order their work by the stream in use: they stay on the main one"
    for other in (_T.CASTING, _T.STREAMING, _T.GROUP_OFFLOAD, _T.SHARDED, _T.CONTEXT_PARALLEL)
}

# The first one cannot be applied any more where the second one is.
_TOO_LATE: Final[Mapping[_Pair, str]] = {
    (_T.LORA, _T.QUANTISED): (
        "LoRAs are merged before weights are quantised, got a pipeline with weights in {0}; load it again with the "
        "LoRAs that it is to have (loras=..., or --lora)"
    ),
}


def refusal(first: Technique, second: Technique, *, training: bool = False) -> str | None:
    """Return the rule by which two techniques are not applied together; None where they may be.

    Args:
        first, second: in any order.
        training: whether gradients are wanted.

    Returns:
        A text with {0} and {1} for what was given for the two, in the order of `Technique`.
    """
    pair = _in_order(first, second)
    return _REFUSED.get(pair) or (_REFUSED_IN_TRAINING.get(pair) if training else None)


def gives_way(first: Technique, second: Technique) -> str | None:
    """Return why the later of two techniques leaves itself out where the earlier one is in use; None where it stays."""
    return _GIVES_WAY.get(_in_order(first, second))


def check_together(given: Mapping[Technique, object], *, training: bool = False) -> None:
    """Refuse techniques that are not applied together.

    Args:
        given: the chosen ones, with what was given for each, for the error.
        training: whether gradients are wanted.

    Raises:
        ConfigError: the rule, what was given, and the nearest choice.
    """
    for pair in combinations([one for one in Technique if one in given], 2):
        rule = refusal(*pair, training=training)
        if rule:
            raise ConfigError(rule.format(*(given[one] for one in pair)))


def check_not_late(technique: Technique, applied: Mapping[Technique, object]) -> None:
    """Refuse a technique that had to be applied before one that is in use.

    Args:
        technique: that is to be applied now.
        applied: those in use, with what was given for each, for the error.

    Raises:
        ConfigError: the rule, what was found, and what to do instead.
    """
    for other, found in applied.items():
        rule = _TOO_LATE.get((technique, other))
        if rule:
            raise ConfigError(rule.format(found))


def _in_order(first: Technique, second: Technique) -> _Pair:
    order = list(Technique)
    return (first, second) if order.index(first) < order.index(second) else (second, first)
