"""The arguments of a call: of the right kind and in range, by name, before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from mova.errors import ConfigError, GeometryError
from mova.files.json_file import field_kinds, shorten
from mova.settings.sampling import GivenSettings, SettingValue
from mova.settings.seeds import sample_seeds, whole_number

if TYPE_CHECKING:
    from mova.pipeline.inputs.call import CallInputs
    from mova.pipeline.inputs.media import GivenNoise
    from mova.pipeline.run_plan import RunPlan

MAX_CLIPS: Final = 1024
MAX_PROMPT_CHARACTERS: Final = 1_000_000
_MOST: Final = 10**12


def plain_settings(given: GivenSettings) -> GivenSettings:
    """Return settings of a call as plain Python values; numbers of NumPy and torch count as numbers.

    Raises:
        ConfigError: a value of another kind than its field, by name.
    """
    kinds = field_kinds(type(given))
    plain: dict[str, Any] = {name: _plain(name, value, kinds[name]) for name, value in given.values().items()}
    return replace(given, **plain)


def _plain(name: str, value: object, kind: type) -> SettingValue:
    if kind is int:
        return whole_number(name, value, -_MOST, _MOST)
    if kind is str:
        return check_text(name, value)
    if kind is float:
        return real_number(name, value)
    if not isinstance(value, list | tuple | np.ndarray) or len(value) != 2:
        raise ConfigError(f"{name} must be two numbers, got {shorten(value)}; all is (0.0, 1.0)")
    return real_number(name, value[0]), real_number(name, value[1])


def real_number(name: str, value: object) -> float:
    """Return a number of any library as a float.

    Raises:
        ConfigError: a truth value, a text, an array with a dimension, or something else that is no real number.
    """
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if isinstance(value, np.ndarray | torch.Tensor) and value.ndim == 0:
        value = value.item()
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        if is_number:
            return float(value)  # type: ignore[arg-type]
    except OverflowError:
        pass
    raise ConfigError(f"{name} must be a number, got {_shown(value)} ({type(value).__name__})")


def check_text(name: str, value: object) -> str:
    """Return a text.

    Raises:
        ConfigError: something else, by name.
    """
    if not isinstance(value, str):
        raise ConfigError(f"{name} must be a text, got {_shown(value)} ({type(value).__name__})")
    return value


def check_texts(inputs: CallInputs, width: int) -> None:
    """Refuse texts and embeddings of another kind; what is None is left to others.

    Args:
        inputs: of a call.
        width: C of embeddings (B, P, C) that the towers read.

    Raises:
        ConfigError: with the name of the argument.
    """
    check_prompts("prompt", inputs.prompt)
    check_embeds("prompt_embeds", inputs.prompt_embeds, width)
    check_prompts("negative_prompt", inputs.negative_prompt)
    check_embeds("negative_prompt_embeds", inputs.negative_prompt_embeds, width)


def check_prompts(name: str, prompts: object) -> None:
    """Refuse what is no text and no list of texts; None is left to others.

    Raises:
        ConfigError: with the name of the argument.
    """
    if prompts is None:
        return
    texts = [prompts] if isinstance(prompts, str) else prompts
    if not isinstance(texts, list | tuple):
        raise ConfigError(f"{name} must be a text or a list of texts, got {_shown(prompts)} ({type(prompts).__name__})")
    if not 0 < len(texts) <= MAX_CLIPS:
        found = "an empty list" if not texts else f"{len(texts)}"
        raise ConfigError(f"{name} must be a text or a list of texts, 1 to {MAX_CLIPS}, got {found}")
    for text in texts:
        if len(check_text(name, text)) > MAX_PROMPT_CHARACTERS:
            raise ConfigError(f"{name} must have at most {MAX_PROMPT_CHARACTERS} characters, got {len(text)}")


def check_embeds(name: str, embeds: object, width: int) -> None:
    """Refuse embeddings that are no (B, P, C) of the model's width.

    Args:
        name: of the argument.
        embeds: given; None is left to others.
        width: C that the towers read.

    Raises:
        ConfigError: with the name of the argument.
    """
    if embeds is None:
        return
    wanted = f"{name} must be a tensor (B, P, {width}) of floating point"
    if not isinstance(embeds, torch.Tensor):
        raise ConfigError(f"{wanted}, got {_shown(embeds)} ({type(embeds).__name__})")
    fits = embeds.ndim == 3 and embeds.shape[0] > 0 and embeds.shape[1] > 0 and embeds.shape[2] == width
    if not fits or not embeds.is_floating_point():
        raise ConfigError(f"{wanted}, got {tuple(embeds.shape)} {embeds.dtype}")


def check_rest(plan: RunPlan, inputs: CallInputs, known_inputs: Sequence[str]) -> None:
    """Check what can be checked once the number of clips is known.

    Args:
        plan: of the run.
        inputs: that it was given.
        known_inputs: what a callback can be shown.

    Raises:
        ConfigError, GeometryError: with the name of the argument.
    """
    negative_prompt, prompt_embeds = inputs.negative_prompt, inputs.prompt_embeds
    negative_prompt_embeds, batch_branches = inputs.negative_prompt_embeds, inputs.batch_branches
    callback, callback_inputs = inputs.on_step_end, inputs.callback_inputs
    rows = {"negative_prompt": 1 if not isinstance(negative_prompt, list | tuple) else len(negative_prompt)}
    for name, embeds in (("prompt_embeds", prompt_embeds), ("negative_prompt_embeds", negative_prompt_embeds)):
        rows |= {} if embeds is None else {name: len(embeds)}
    for name, count in rows.items():
        if count not in (1, plan.num_prompts, plan.batch_size):
            raise ConfigError(
                f"{name} must hold 1 or {plan.num_prompts} items for {plan.num_prompts} prompts, got {count}"
            )
    if negative_prompt is not None and negative_prompt_embeds is not None:
        raise ConfigError("negative_prompt and negative_prompt_embeds are both given; give one of them")
    if prompt_embeds is not None and negative_prompt_embeds is not None:
        lengths = prompt_embeds.shape[1], negative_prompt_embeds.shape[1]
        if lengths[0] != lengths[1]:
            raise ConfigError(
                f"negative_prompt_embeds must have the {lengths[0]} rows of prompt_embeds, got {lengths[1]}"
            )
    _check_noise(plan, inputs.noise)
    if batch_branches is not None and not isinstance(batch_branches, bool | np.bool_):
        raise ConfigError(f"batch_branches must be True, False or None, got {_shown(batch_branches)}")
    if callback is not None and not callable(callback):
        raise ConfigError(f"callback_on_step_end must be a function, got {_shown(callback)}")
    if not isinstance(callback_inputs, list | tuple) or any(
        not isinstance(name, str) or name not in known_inputs for name in callback_inputs
    ):
        raise ConfigError(
            f"callback_on_step_end_tensor_inputs must be a list of {', '.join(known_inputs)}, got "
            f"{_shown(callback_inputs)}"
        )


def _check_noise(plan: RunPlan, noise: GivenNoise) -> None:
    count, geometry = plan.batch_size, plan.geometry
    if noise.generator is None:
        sample_seeds(0 if noise.seed is None else noise.seed, count, noise.index)
    else:
        each = isinstance(noise.generator, list | tuple)
        generators: Any = noise.generator if each else [noise.generator]
        for generator in generators:
            if not isinstance(generator, torch.Generator):
                raise ConfigError(f"generator must be a torch.Generator or one per clip, got {_shown(generator)}")
        if each and len(generators) != count:
            raise ConfigError(f"generator must be one or one per clip ({count}), got {len(generators)}")
    for name, latents, shape in (
        ("latents", noise.video, geometry.video_latent_shape),
        ("audio_latents", noise.audio, geometry.audio_latent_shape),
    ):
        if latents is None:
            continue
        wanted = (count, *shape)
        if not isinstance(latents, torch.Tensor):
            raise GeometryError(f"{name} must be a tensor {wanted}, got {_shown(latents)}")
        if tuple(latents.shape) != wanted or not latents.is_floating_point():
            raise GeometryError(f"{name} must be {wanted} for this clip, got {tuple(latents.shape)} {latents.dtype}")


def _shown(value: object) -> str:
    if isinstance(value, np.ndarray | torch.Tensor) and value.ndim:
        return f"{tuple(value.shape)} {value.dtype}"
    return shorten(value)
