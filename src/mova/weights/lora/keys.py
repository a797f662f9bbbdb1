"""Keys of LoRA files: whose style they are in, and which layer of ours, and what of it, they stand for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from mova.names import COMPONENTS
from mova.weights.lora.adapters import UNNAMED

# What a tensor is, by the end of its key. `adapter` is the name that PEFT gives to one of several adapters.
_DOWN = r"(?:lora_A|lora_down|lora\.down|lora_linear_layer\.down)"
_UP = r"(?:lora_B|lora_up|lora\.up|lora_linear_layer\.up)"
_ADAPTER = r"(?:\.(?P<adapter>[^.]+))?"
_PARTS: Final = tuple(
    (part, re.compile(rf"(?P<path>.+)\.{ending}"))
    for part, ending in (
        ("down_scale", rf"{_DOWN}\.(?:scale_weight|weight_scale)"),
        ("up_scale", rf"{_UP}\.(?:scale_weight|weight_scale)"),
        ("down", rf"{_DOWN}{_ADAPTER}\.weight"),
        ("up", rf"{_UP}{_ADAPTER}\.weight"),
        ("down", r"(?P<bare>lora_A)"),
        ("up", r"(?P<bare>lora_B)"),
        ("up_bias", rf"lora_B{_ADAPTER}\.bias"),
        ("magnitude_rows", r"lora_magnitude_vector(?:\.(?!weight$)(?P<adapter>[^.]+))?(?:\.weight)?"),
        ("magnitude", r"dora_scale"),
        ("alpha", r"alpha"),
        ("weight", r"(?:diff|w_norm)"),
        ("bias", r"(?:diff_b|b_norm)"),
        ("modulation", r"diff_m"),
    )
)
# No layer's name is as long; matching takes longer with every character.
_MOST_CHARACTERS: Final = 400
_ADAPTS: Final = frozenset({"down", "up", "up_bias", "magnitude", "magnitude_rows", "weight", "bias", "modulation"})
_OTHER_KINDS: Final = (
    ("LoKr", re.compile(r".+\.lokr_\w+(\..+)?")),
    ("LoHa", re.compile(r".+\.hada_\w+(\..+)?")),
    ("OFT", re.compile(r".+\.b?oft_\w+(\..+)?")),
    ("Tucker-decomposed LoCon", re.compile(r".+\.lora_mid(\.weight)?")),
    ("VeRA", re.compile(r".+\.?vera_\w+(\..+)?")),
    ("IA3", re.compile(r".+\.(ia3_l|on_input)(\..+)?")),
    ("embedding", re.compile(r".+\.lora_embedding_[AB](\..+)?")),
    ("replaced-weight", re.compile(r".+\.(set_weight|reshape_weight)")),
)
# What stands in front of a layer's name: whose style that is, and which component it names.
_PREFIXES: Final = (
    ("base_model.model.", "peft", ""),
    ("model.diffusion_model.", "comfyui", ""),
    ("diffusion_model.", "comfyui", ""),
    ("transformer.", "diffusers", "video_dit"),
    ("transformer_2.", "diffusers", "video_dit_2"),
    ("pipe.", "diffsynth", ""),
    *((f"{component}.", "mova", component) for component in COMPONENTS),
)
_WRAPPERS = re.compile(r"(?:^|(?<=\.))(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_FLAT_PREFIX = re.compile(
    r"lora_(?:(?:unet|transformer)__?(?:diffusion_model_)?|(?=(?:video_dit|audio_dit|dual_tower_bridge)_))"
)
# kohya's keys have underscores for dots: the names of layers tell which of them were dots.
_SEGMENTS: Final = (
    *("blocks", "self_attn", "cross_attn", "attn1", "attn2", "ffn", "norm_q", "norm_k", "norm1", "norm2", "norm3"),
    *("q", "k", "v", "o", "to_q", "to_k", "to_v", "to_out", "net", "proj", "inner", "y_norm", "head", "modulation"),
    *("patch_embedding", "text_embedding", "time_embedding", "time_projection", "condition_embedder"),
    *("text_embedder", "time_embedder", "linear_1", "linear_2", "time_proj", "proj_out", "scale_shift_table"),
    *("audio_to_video_conditioners", "video_to_audio_conditioners"),
)
_SEGMENT = re.compile(rf"({'|'.join(sorted(_SEGMENTS, key=len, reverse=True))}|\d+)(?:_|$)")
_DIFFUSERS: Final = (
    (re.compile(r"\.attn1\."), ".self_attn."),
    (re.compile(r"\.attn2\."), ".cross_attn."),
    (re.compile(r"\.to_([qkv])$"), r".\1"),
    (re.compile(r"\.to_out\.0$"), ".o"),
    (re.compile(r"\.ffn\.net\.0\.proj$"), ".ffn.0"),
    (re.compile(r"\.ffn\.net\.2$"), ".ffn.2"),
    (re.compile(r"^(blocks\.\d+)\.norm2$"), r"\1.norm3"),
    (re.compile(r"^(blocks\.\d+)\.scale_shift_table$"), r"\1.modulation"),
    (re.compile(r"^scale_shift_table$"), "head.modulation"),
    (re.compile(r"^condition_embedder\.(text|time)_embedder\.linear_1$"), r"\1_embedding.0"),
    (re.compile(r"^condition_embedder\.(text|time)_embedder\.linear_2$"), r"\1_embedding.2"),
    (re.compile(r"^condition_embedder\.time_proj$"), "time_projection.1"),
    (re.compile(r"^proj_out$"), "head.head"),
)


@dataclass(frozen=True)
class LoraKey:
    """What a key of a LoRA file says.

    Attributes:
        component: one of `COMPONENTS`, or `UNNAMED`.
        path: path of the layer in the component, in our names.
        part: what of the layer's adapter the tensor is: down, up, alpha, magnitude, ...
        style: whose key it is.
        scope: the component in the file's own words, such as transformer; empty where the key names none.
        module: the layer in the file's own words, without what stands in front of it.
    """

    component: str
    path: str
    part: str
    style: str
    scope: str
    module: str


def is_lora(keys: Iterable[str]) -> bool:
    """Tell from the keys of a file whether it holds adapters rather than weights."""
    return any((_part(key) or ("", "", ""))[0] in _ADAPTS or other_kind(key) for key in keys)


def other_kind(key: str) -> str:
    """Return the name of the kind of adapter that is not read, if a key is of one; otherwise nothing."""
    if len(key) > _MOST_CHARACTERS:
        return ""
    return next((kind for kind, pattern in _OTHER_KINDS if pattern.fullmatch(key)), "")


def parse_key(key: str) -> LoraKey | None:
    """Take a key apart; None if it is no part of an adapter."""
    found = _part(key)
    if found is None:
        return None
    part, name, hint = found
    name = _WRAPPERS.sub("", name)
    if flat := _FLAT_PREFIX.match(name):
        return _kohya(name[flat.end() :], part)
    component, style, scope = UNNAMED, hint, ""
    stripped = True
    while stripped:
        stripped = False
        for prefix, whose, named in _PREFIXES:
            if name.startswith(prefix):
                name, stripped = name.removeprefix(prefix), True
                style = style or whose
                component, scope = (named, prefix[:-1]) if named else (component, scope)
                break
    return LoraKey(component, _ours(name), part, style or "plain", scope, name)


def state_key(key: LoraKey) -> str:
    """Return which tensor of the component a full difference (weight, bias, modulation) is for."""
    if key.path.rpartition(".")[2] == "modulation":
        return key.path
    return f"{key.path}.{key.part}"


def _part(key: str) -> tuple[str, str, str] | None:
    if len(key) > _MOST_CHARACTERS:
        return None
    for part, pattern in _PARTS:
        if match := pattern.fullmatch(key):
            groups = match.groupdict()
            # DiffSynth-Studio writes PEFT's adapter name into the keys; MOVA's low-resource trainer no ".weight".
            hint = "diffsynth" if groups.get("adapter") else "low_resource" if groups.get("bare") else ""
            hint = "" if match["path"].startswith("base_model.") else hint
            return part, match["path"], hint
    return None


def _kohya(flat: str, part: str) -> LoraKey | None:
    component = UNNAMED
    for name in sorted(COMPONENTS, key=len, reverse=True):
        if flat.startswith(f"{name}_"):
            component, flat = name, flat.removeprefix(f"{name}_")
            break
    segments, place = [], 0
    while place < len(flat):
        match = _SEGMENT.match(flat, place)
        if match is None:
            return None
        segments.append(match[1])
        place = match.end()
    module = ".".join(segments)
    return LoraKey(component, _ours(module), part, "kohya", "", module) if module else None


def _ours(name: str) -> str:
    for pattern, ours in _DIFFUSERS:
        name = pattern.sub(ours, name)
    return name
