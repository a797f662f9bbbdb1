"""Where a LoRA is on disk: a safetensors file, or a folder as PEFT, diffusers or MOVA's own trainers leave it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

from mova.errors import CheckpointError, ConfigError
from mova.files.json_file import shorten
from mova.names import SHIPPED_LORAS

PICKLED: Final = (".pt", ".pth", ".ckpt", ".bin")
PEFT_WEIGHTS: Final = "adapter_model.safetensors"
PEFT_CONFIG: Final = "adapter_config.json"
_KNOWN_NAMES: Final = (PEFT_WEIGHTS, "pytorch_lora_weights.safetensors")
_KNOWN_PICKLES: Final = ("lora_weights.pt", "adapter_model.bin", "pytorch_lora_weights.bin")


@dataclass(frozen=True)
class LoraSource:
    """What belongs to one LoRA.

    Attributes:
        weights: file with the tensors.
        config: PEFT's settings beside it, if there are any.
        name: name of the file or of the folder.
    """

    weights: Path
    config: Path | None
    name: str


def is_lora_folder(path: Path) -> bool:
    """Tell whether a folder looks like one that a trainer of adapters left, and not like a model."""
    if not path.is_dir() or (path / "model_index.json").exists() or (path / "config.json").exists():
        return False
    return any((path / name).is_file() for name in (PEFT_CONFIG, *_KNOWN_NAMES, *_KNOWN_PICKLES))


def find_lora(path: Path, weight_name: str | None = None) -> LoraSource:
    """Find the files of a LoRA; nothing of them is read.

    Args:
        path: a file, or a folder with one LoRA.
        weight_name: which file of the folder; None finds it by its usual name, or as the only one.

    Raises:
        CheckpointError: there is none, or several could be meant.
        ConfigError: a `weight_name` that leads out of the folder, or is given with a file.
    """
    if not path.is_dir():
        if weight_name is not None:
            raise ConfigError(f"weight_name is for a folder or a repository, got it with the file {path}; leave it out")
        return _source(path, path.name)
    if weight_name is not None:
        plain = check_weight_name(weight_name)
        if not (path / plain).is_file():
            raise CheckpointError(
                f"weight_name must be a file in {path}, got {shorten(weight_name)}; it has {_listed(path)}"
            )
        return _source(path / plain, PurePosixPath(plain).name)
    # What macOS leaves beside a file begins with a dot.
    files = sorted(file for file in path.glob("*.safetensors") if file.is_file() and not file.name.startswith("."))
    known = [path / name for name in _KNOWN_NAMES if (path / name).is_file()]
    pickles = [path / name for name in _KNOWN_PICKLES if (path / name).is_file()]
    chosen = known or files or pickles
    if not chosen or (not known and len(chosen) > 1):
        raise CheckpointError(
            f"a folder of a LoRA must hold {PEFT_WEIGHTS} or one safetensors file, got {path} with {_listed(path)}; "
            "name the file itself"
        )
    return _source(chosen[0], path.resolve().name)


def check_weight_name(name: str) -> str:
    """Return the name of a file inside a folder or repository.

    Raises:
        ConfigError: it is absolute or leads out.
    """
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive or "\\" in name:
        raise ConfigError(
            f"weight_name must be a file inside the folder, got {shorten(name)}; nearest is {PEFT_WEIGHTS}"
        )
    return name


def is_pickled(file: Path) -> bool:
    """Tell whether a file is one of PyTorch's pickled ones: by its name, or as a zip archive."""
    return file.is_file() and (file.suffix.lower() in PICKLED or _is_zip(file))


def refuse_pickle(file: Path) -> None:
    """Refuse a pickled file, with the command that converts it.

    Raises:
        CheckpointError: its name says that it is one, or it is a zip archive.
    """
    if is_pickled(file):
        target = file.with_suffix(".safetensors")
        if target == file or target.exists():
            target = file.with_name(f"{file.stem}_converted.safetensors")
        command = shlex.join(["mova", "weights", "convert", str(file), str(target)])
        raise CheckpointError(
            f"a LoRA must be a safetensors file, got {file}, which is pickled: reading it could run code of "
            f"whoever made it. Convert it safely with: {command}"
        )


def base_name(base: str) -> str:
    """Return the name of a base model without the folders of the machine on which it was used."""
    parts = [part for part in re.split(r"[\\/]+", base.strip()) if part]
    is_path = base.startswith(("/", "\\", ".", "~")) or len(parts) > 2 or "\\" in base or ":" in base
    return parts[-1] if is_path and parts else "" if is_path else base.strip()


def _source(weights: Path, name: str) -> LoraSource:
    config = weights.with_name(PEFT_CONFIG)
    is_peft = weights.name in (PEFT_WEIGHTS, "adapter_model.bin")
    return LoraSource(weights, config if is_peft and config.is_file() else None, name)


def _listed(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") or "no files"


def _is_zip(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(4) == b"PK\x03\x04"


def parse_lora(text: str) -> tuple[Path, float]:
    """Read a LoRA written as FILE or FILE:SCALE; without a scale it is 1.

    FILE may be the name of one that comes with the package; a file of that name in the working directory counts first.

    Raises:
        ConfigError: nothing before the scale.
    """
    match = re.fullmatch(r"(.*):([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf))", text.strip())
    name, scale = (match[1], float(match[2])) if match else (text.strip(), 1.0)
    if not name:
        raise ConfigError(f"a LoRA must read FILE or FILE:SCALE, got {text!r}; for example style.safetensors:0.8")
    shipped = shipped_lora(name)
    return Path(name) if shipped is None or Path(name).exists() else shipped, scale


def shipped_lora(name: str) -> Path | None:
    """Return the file of a LoRA that comes with the package, `mova-tiny_conditions`; None for any other name."""
    if re.fullmatch(r"[\w.-]{1,200}", name) is None:
        return None
    file = SHIPPED_LORAS / f"{name}.safetensors"
    return file if file.is_file() else None


def shipped_loras() -> list[str]:
    """Return the names of the LoRAs that come with the package, in order."""
    return sorted(file.stem for file in SHIPPED_LORAS.glob("*.safetensors"))
