"""What the clip of a request says of its origin: the record that `mova.pipeline.origin` reads again."""

from __future__ import annotations

from pathlib import Path

from mova.generate.request import GenerateRequest
from mova.pipeline.origin import INPUTS, file_sha256, origin_of_versions
from mova.pipeline.runtime import Runtime


def describe(
    request: GenerateRequest,
    folder: Path,
    *,
    runtime: Runtime | None = None,
    weights_sha256: str | None = None,
) -> dict[str, object]:
    """Return what a clip says of its origin, as JSON values.

    Args:
        request: checked.
        folder: the model's directory.
        runtime: how it is computed.
        weights_sha256: fingerprint of the model; None makes it.
    """
    from mova.weights.fingerprint import weights_hash

    loras = [{"file": lora.path.name, "scale": lora.scale, "sha256": file_sha256(lora.path)} for lora in request.loras]
    files = {name: getattr(request, name) for name in INPUTS}
    own: dict[str, object] = {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "seed": request.seed,
        "index": request.index,
        "settings": request.settings.record(),
        "model": request.model,
        "weights_sha256": weights_sha256 or weights_hash(folder),
        **origin_of_versions(),
    }
    own |= {name: {"file": path.name, "sha256": file_sha256(path)} for name, path in files.items() if path is not None}
    kernels = {} if runtime is None else {"quantization": runtime.quantization, "attention": runtime.attention}
    enhancement = request.enhancement and request.enhancement.to_dict()
    keyframes = [
        {"time_s": one.time_s, "file": one.path.name, "sha256": file_sha256(one.path)} for one in request.keyframes
    ]
    said = request.conditions().record(request.settings.geometry)
    own |= {name: said[name] for name in ("only", "snaps") if name in said}
    own |= {
        name: value
        for name, value in (
            ("keyframes", keyframes),
            ("retake", [str(one) for one in request.retakes]),
            ("fit", "" if request.fit == "crop" else request.fit),
        )
        if value
    }
    further = {"loras": loras, "start_s": request.start_s, "enhancement": enhancement, **kernels}
    return own | {name: value for name, value in further.items() if value}
