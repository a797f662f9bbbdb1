"""Where a LoRA is that is named as diffusers' users do: a file, a folder, or a repository of the hub."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from mova.errors import CheckpointError, ConfigError
from mova.files.json_file import shorten, shorten_text
from mova.weights.hub import Hub
from mova.weights.lora.source import PEFT_CONFIG, PEFT_WEIGHTS, PICKLED, check_weight_name, shipped_lora, shipped_loras

_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_USUAL = (PEFT_WEIGHTS, "pytorch_lora_weights.safetensors")


def locate_lora(
    name: str | Path, weight_name: str | None = None, subfolder: str | None = None, hub: Hub | None = None
) -> tuple[Path, str | None]:
    """Return the path of a LoRA, and which file of it, as `read_lora` takes them.

    Args:
        name: a file, a folder, the name of one that comes with the package, or a hub id OWNER/NAME, of which only the
            LoRA is downloaded.
        weight_name: which file of the folder or repository.
        subfolder: subfolder of the folder or repository.
        hub: how a repository is asked for.

    Raises:
        CheckpointError: there is no such file, folder or repository.
        ConfigError: a `weight_name` or `subfolder` that leads out of the folder.
    """
    if not isinstance(name, str | Path):
        raise ConfigError(f"a LoRA is given as a file, a folder or a hub id OWNER/NAME, got {type(name).__name__}")
    below = "" if subfolder is None else check_weight_name(subfolder)
    path = Path(name)
    if path.exists():
        return (path / below if below else path), weight_name
    shipped = shipped_lora(str(name))
    if shipped is not None and weight_name is None and not below:
        return shipped, None
    if _HUB_ID.fullmatch(str(name)) and path.suffix.lower() not in (".safetensors", *PICKLED):
        return _download(str(name), weight_name, below, hub or Hub()), None
    raise CheckpointError(
        f"a LoRA must be a whole safetensors file, a folder with one, {', '.join(shipped_loras())}, or a hub id "
        f"OWNER/NAME, got {shorten(str(name))}, which is not there"
    )


def _download(hub_id: str, weight_name: str | None, subfolder: str, hub: Hub) -> Path:
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        if weight_name is None:
            found = _first(hub_id, subfolder, hub)
        else:
            found = _fetch(hub_id, check_weight_name(weight_name), subfolder, hub)
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        wanted = weight_name or " or ".join(_USUAL)
        raise CheckpointError(
            f"{hub_id} must be a repository with {wanted} (weight_name= names another file): {shorten_text(reason)}"
        ) from error
    return found


def _first(hub_id: str, subfolder: str, hub: Hub) -> Path:
    """Fetch the file of the usual name, or else the only one."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    problem: EntryNotFoundError | None = None
    for name in _USUAL:
        try:
            return _fetch(hub_id, name, subfolder, hub)
        except EntryNotFoundError as error:
            problem = error
    assert problem is not None, "a file was found or its absence told"
    if isinstance(problem, LocalEntryNotFoundError):
        raise problem
    listed = HfApi(token=hub.token).list_repo_files(hub_id, revision=hub.revision)
    inside = [PurePosixPath(name) for name in listed if name.endswith(".safetensors")]
    only = [path.name for path in inside if path.parent == PurePosixPath(subfolder)]
    if len(only) != 1:
        raise CheckpointError(
            f"weight_name must say which file of {hub_id} is meant, it has {len(only)} safetensors files: "
            f"{shorten_text(', '.join(only)) or 'none'}"
        )
    return _fetch(hub_id, only[0], subfolder, hub)


def _fetch(hub_id: str, name: str, subfolder: str, hub: Hub) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    def fetch(file: str) -> Path:
        return Path(
            hf_hub_download(
                hub_id,
                file,
                subfolder=subfolder or None,
                revision=hub.revision,
                token=hub.token,
                cache_dir=hub.cache_dir,
                local_files_only=hub.local_files_only,
            )
        )

    found = fetch(name)
    if found.name == PEFT_WEIGHTS:
        # Its settings say how strong it is. Where the hub says that there are none, there are none.
        try:
            fetch(str(PurePosixPath(name).with_name(PEFT_CONFIG)))
        except EntryNotFoundError as error:
            if isinstance(error, LocalEntryNotFoundError):
                raise
    return found
