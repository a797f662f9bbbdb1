"""What tells one run from others, so that a stored state is only ever gone on from by the run that it came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from mova.errors import ConfigError
from mova.pipeline.call_record import CallRecord, fingerprint
from mova.pipeline.inputs.call import CallInputs
from mova.pipeline.run_plan import RunPlan
from mova.settings.seeds import Seeds, sample_seeds


def identity_of(
    plan: RunPlan, inputs: CallInputs, record: CallRecord, circumstances: Mapping[str, object]
) -> dict[str, str]:
    """Return digests of all that the clips of a call depend on, by what it is; nothing can be read from them.

    Args:
        plan, inputs, record: of the call.
        circumstances: how it is computed, as JSON values.

    Raises:
        ConfigError: noise that cannot be drawn again.
    """
    noise, control = inputs.noise, inputs.control
    tensors = {
        "prompt_embeds": inputs.prompt_embeds,
        "negative_prompt_embeds": inputs.negative_prompt_embeds,
        "latents": noise.video,
        "audio_latents": noise.audio,
    }
    own = record.of(0, None)
    facts = {
        **own,
        "prompt": record.prompts,
        "negative_prompt": record.negative_prompts,
        "seed": _seeds(plan, inputs),
        "boundary_ratio": plan.boundary_ratio,
        "batch_branches": inputs.batch_branches,
        "clips": [plan.batch_size, inputs.clip_by_clip],
        "model": [own.get("model"), own.get("weights_sha256")],
        **circumstances,
        **(control.about if control is not None else {}),
        **{name: fingerprint(tensor) for name, tensor in tensors.items() if tensor is not None},
    }
    facts.pop("weights_sha256", None)
    return {
        name: hashlib.sha256(json.dumps(fact, sort_keys=True, default=str).encode()).hexdigest()
        for name, fact in facts.items()
    }


def _seeds(plan: RunPlan, inputs: CallInputs) -> Seeds | None:
    noise = inputs.noise
    if noise.seed is not None:
        return sample_seeds(noise.seed, plan.batch_size, noise.index)
    if noise.generator is None and noise.video is not None and noise.audio is not None:
        return None
    given = "no seed" if noise.generator is None else "a generator"
    raise ConfigError(
        f"a run whose state is kept must name its noise, so that it can be drawn again, got {given}; give a seed, "
        "such as 0"
    )
