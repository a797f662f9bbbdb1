"""What is switched off or set otherwise, one thing at a time, and how each result is sampled."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    """One trained model.

    Attributes:
        name: name of the variant's folder.
        words: text of its row in the table.
        overrides: `key=value` of the joint recipe.
        bridge_first: whether the bridge learns alone for the first half of the steps.
    """

    name: str
    words: str
    overrides: tuple[str, ...] = ()
    bridge_first: bool = False


@dataclass(frozen=True)
class Sampling:
    """How one model is asked for clips.

    Attributes:
        variant: which model.
        name: name of the variant's folder.
        words: text of its row in the table.
        options: options of `mova evaluate toyworld`.
    """

    variant: str
    name: str
    words: str
    options: tuple[str, ...] = ()


BASE = Variant("full", "all of it: aligned positions, independent times, bridge rate doubled, bridge from the start")

VARIANTS: tuple[Variant, ...] = (
    BASE,
    Variant("second_seed", "the same with another seed", ("run.seed=1",)),
    Variant("no_bridge", "bridge never used", ("bridge_dropout=1.0", "trainable=[video_dit,video_dit_2,audio_dit]")),
    Variant(
        "no_aligned_positions",
        "no rotary positions in the bridge",
        ("start.changes={dual_tower_bridge: {apply_cross_rope: false}}",),
    ),
    Variant(
        "first_frame_bias",
        "first frame one frame long on the bridge's time axis",
        ("start.changes={dual_tower_bridge: {apply_first_frame_bias_in_rope: true}}",),
    ),
    Variant("shared_times", "one noise level for picture and sound", ("independent_timesteps=false",)),
    Variant("audio_shift_5", "audio shift 5 in training", ("audio_shift=5.0",)),
    Variant("equal_rates", "bridge at the rate of the towers", ("bridge_lr_scale=1.0",)),
    Variant("bridge_first", "bridge alone for half of the steps", bridge_first=True),
    Variant("no_text_dropout", "no text dropout", ("text_dropout=0.0",)),
    Variant("text_dropout_half", "text dropout 0.5", ("text_dropout=0.5",)),
)

MODALITY_SCALES = (1.0, 2.0, 3.0, 3.5, 4.0)

SAMPLINGS: tuple[Sampling, ...] = (
    *(
        Sampling(variant.name, "default", variant.words, ("--no-bridge",) if variant.name == "no_bridge" else ())
        for variant in VARIANTS
    ),
    Sampling("full", "bridge_off", "bridge switched off at sampling only", ("--no-bridge",)),
    Sampling("full", "no_guidance", "no text guidance", ("--guidance-scale", "1")),
    Sampling("no_text_dropout", "no_guidance", "no text dropout, no text guidance", ("--guidance-scale", "1")),
    *(
        Sampling("full", f"modality_scale_{scale:g}", f"s_B {scale:g}", ("--modality-scale", f"{scale:g}"))
        for scale in MODALITY_SCALES[1:]
    ),
)
