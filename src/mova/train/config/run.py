"""Sections of a recipe that say how a run goes: length, intervals, optimiser, processes, memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from mova.device import Compute, Resolved
from mova.errors import ConfigError
from mova.kernels.techniques import Technique
from mova.recipe.base import MOST_SAMPLES, MOST_STEPS, Strict

Beta = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True)
class RunPrecision:
    """What a run's settings come to on its device.

    Attributes:
        compute: what its products are computed in.
        encoding: what its clips are encoded in; "auto" goes on with what the cache holds, see
            `mova.data.cache_plan.plan_splits`.
    """

    compute: Resolved
    encoding: Compute


class RunConfig(Strict):
    """How long, how often, where."""

    seed: int = Field(0, ge=0, le=2**62, description="Every random draw of the run follows from it and the step.")
    max_steps: int = Field(ge=1, le=MOST_STEPS, description="Optimiser steps.")
    max_minutes: float | None = Field(
        None,
        gt=0,
        le=1e7,
        description="Minutes of training time after which to stop earlier; the schedule follows whichever ends first.",
    )
    batch_size: int = Field(ge=1, le=MOST_SAMPLES, description="Samples per optimiser step, over all processes.")
    micro_batch: int | None = Field(
        None,
        ge=1,
        le=MOST_SAMPLES,
        description="Samples per forward of one process (gradient accumulation); its whole share if not given.",
    )
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compute: Compute = Field(
        "auto",
        description="Mixed precision: what matrix products are computed in, and clips encoded in. auto takes bfloat16 "
        "on a GPU, and on a CPU with AVX512-BF16 or AMX for what was measured to come out as well in it: a LoRA of a "
        "model whose mova_defaults.json says bfloat16_on_cpu, and encoding; else float32. A run that resumes goes on "
        "in what it was begun in. MOVA_PRECISION says what auto takes on a CPU.",
    )
    compile: bool = Field(
        False, description="torch.compile of the repeated parts on a GPU; a CPU does without, where it does not pay."
    )
    kernels: Literal["auto", "plain"] | None = Field(
        None,
        description="Linear layers on a CPU where no gradient is wanted: auto takes the fastest products, measured "
        "once per machine, plain those of torch; by default what MOVA_KERNELS says, else auto.",
    )
    log_every: int = Field(20, ge=1, le=MOST_STEPS, description="Steps between lines in the log.")
    validate_every: int = Field(200, ge=1, le=MOST_STEPS, description="Steps between validations; one more at the end.")
    checkpoint_every_s: float = Field(
        120.0, gt=0, le=1e9, description="Seconds between checkpoints; one more at the end."
    )
    checkpoint_every: int | None = Field(
        None, ge=1, le=MOST_STEPS, description="Steps between checkpoints, besides the seconds."
    )
    keep_checkpoints: int = Field(2, ge=1, le=10**6)
    ema_decay: float = Field(
        0.999, ge=0, lt=1, description="Decay of the averaged weights (EMA); 0 switches the average off."
    )
    sinks: tuple[Literal["tensorboard", "wandb"], ...] = Field(
        (), max_length=2, description="Where figures go besides log.jsonl."
    )

    # What a device makes of the recipe is no part of it: a recipe is compared, and hashed, as it was written.
    _precision: RunPrecision | None = PrivateAttr(None)

    @property
    def computes_in(self) -> Compute:
        """What products are computed in: by name, once it is settled."""
        return self.compute if self._precision is None else self._precision.compute

    @property
    def encodes_in(self) -> Compute:
        """What clips are encoded in."""
        return self.compute if self._precision is None else self._precision.encoding

    def settled(self, precision: RunPrecision) -> Self:
        """Return the same settings with what they come to on a device."""
        copy = self.model_copy()
        copy._settle(precision)
        return copy

    def _settle(self, precision: RunPrecision) -> None:
        self._precision = precision

    def dealt(self, processes: int) -> tuple[int, int]:
        """Return how many samples of a step one process has, and how many of them it computes at once.

        Args:
            processes: data parallel size, the processes that have different samples.

        Raises:
            ConfigError: sizes that do not divide.
        """
        if self.batch_size % processes:
            below = self.batch_size // processes * processes
            raise ConfigError(
                f"run.batch_size must be a multiple of the {processes} processes with different samples, "
                f"got {self.batch_size}; nearest are {below or processes} and {below + processes}"
            )
        share = self.batch_size // processes
        micro = self.micro_batch or share
        if share % micro:
            divisors = [size for size in range(1, min(share, 2 * micro) + 1) if share % size == 0]
            near = min(divisors, key=lambda size: abs(size - micro))
            raise ConfigError(
                f"run.micro_batch must divide the {share} samples of a process, got {micro}; nearest is {near}"
            )
        return share, micro


class OptimizerConfig(Strict):
    """The update rule and its schedule, counted in optimiser steps."""

    name: Literal["adamw", "adamw8bit", "muon"] = "adamw"
    lr: float = Field(gt=0, le=10, description="Base rate of the towers (of the matrices, with Muon).")
    adamw_lr: float = Field(1e-3, gt=0, le=10, description="With Muon: the rate of everything that is not a matrix.")
    betas: tuple[Beta, Beta] = (0.9, 0.98)
    eps: float = Field(
        1e-8, gt=0, le=1, description="Epsilon of AdamW: a gradient well below it hardly moves a weight."
    )
    weight_decay: float = Field(0.0, ge=0, le=10)
    clip_norm: float = Field(1.0, gt=0)
    warmup_steps: int = Field(50, ge=0, le=MOST_STEPS)
    schedule: Literal["constant", "cosine", "warmup_stable_decay"] = "warmup_stable_decay"
    decay_share: float = Field(0.3, gt=0, le=1, description="Last share of the run in which the rate falls.")
    final_lr_share: float = Field(0.0, ge=0, lt=1, description="What the rate falls to, as a share of the base rate.")


class ParallelConfig(Strict):
    """How the processes of a torchrun share the work; 1 everywhere for one process.

    The product of all four is the number of processes.
    """

    replicate: int = Field(
        default=1, ge=1, le=65536, description="Data parallel copies of the (sharded) weights, each on its own samples."
    )
    shard: int = Field(
        default=1, ge=1, le=65536, description="Data parallel processes that share one copy of the weights (FSDP2)."
    )
    ulysses: int = Field(
        default=1,
        ge=1,
        le=65536,
        description="Context parallel processes that share a sample by heads; divides the heads.",
    )
    ring: int = Field(
        default=1, ge=1, le=65536, description="Context parallel processes that share a sample by tokens."
    )

    @property
    def world_size(self) -> int:
        """Processes in all."""
        return self.replicate * self.shard * self.ulysses * self.ring

    @property
    def data_parallel(self) -> int:
        """Data parallel size: processes or groups of processes that see different samples."""
        return self.replicate * self.shard


class MemoryConfig(Strict):
    """Activation checkpointing, offload and quantisation, so that a model fits."""

    base_dtype: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="Dtype of frozen weights; auto takes bfloat16 on a GPU and float32 on a CPU."
    )
    base_quantization: Literal["none", "float8", "int8", "nf4"] = Field(
        default="none", description="Quantisation of the large linear layers of a frozen base (stage lora)."
    )
    checkpoint_activations: bool = Field(
        default=False, description="Activation checkpointing: recompute each block in the backward pass."
    )
    offload_activations: bool = Field(
        default=False, description="Activation offload: keep the inputs of blocks in host memory."
    )
    one_expert: bool = Field(default=False, description="Only the video expert that a step trains is on the device.")
    stream_blocks: bool = Field(
        default=False,
        description="Block streaming: frozen blocks are offloaded and prefetched one by one (stage lora).",
    )

    def techniques(self) -> dict[str, Technique]:
        """Return what is chosen, by the name of its key."""
        chosen = {
            "checkpoint_activations": (Technique.CHECKPOINTING, self.checkpoint_activations),
            "one_expert": (Technique.PHASES, self.one_expert),
            "offload_activations": (Technique.ACTIVATION_OFFLOAD, self.offload_activations),
            "stream_blocks": (Technique.STREAMING, self.stream_blocks),
            "base_quantization": (Technique.QUANTISED, self.base_quantization != "none"),
        }
        return {name: technique for name, (technique, is_set) in chosen.items() if is_set}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.offload_activations and not self.checkpoint_activations:
            raise ValueError("offload_activations needs checkpoint_activations: true; it moves the inputs of blocks")
        if self.stream_blocks and not self.checkpoint_activations:
            raise ValueError(
                "stream_blocks needs checkpoint_activations: true; a block that has left the device must be computed "
                "again for its gradients"
            )
        return self
