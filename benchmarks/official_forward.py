"""The official joint forward, imported from a clone that the user names: for bench_forward.py. Nothing of it is here.

The clone's package is called as ours. It is imported in the place of ours, which returns afterwards; packages that it
imports but does not need for a forward (several GPUs, registries, text) are replaced by empty ones where they are not
installed. Weights are those of a model of ours, whose names are the published ones.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import inspect
import sys
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from mova.errors import ConfigError
from mova.kernels.compile import check_compiler
from mova.models.dual_tower import DualTower
from mova.types import Velocities

PACKAGE = "mova"
MODELS = f"{PACKAGE}.diffusion.models"
PIPELINE = f"{PACKAGE}.diffusion.pipelines.pipeline_mova"
CLASSES = {
    "video": (f"{MODELS}.wan_video_dit", "WanModel"),
    "audio": (f"{MODELS}.wan_audio_dit", "WanAudioModel"),
    "bridge": (f"{MODELS}.interactionv2", "DualTowerConditionalBridge"),
}
STEP = "inference_single_step"
# Of the packages that the clone imports at once; a forward needs none of them.
NOT_NEEDED = ("yunchang", "mmengine", "ftfy", "audiotools", "dac")
# Attention for GPUs, which the clone takes wherever it is installed.
FOR_GPUS = ("flash_attn", "flash_attn_interface", "sageattention", "kernels")


class OfficialForward:
    """The official model with the weights of one of ours; a call is one forward of it, as its pipeline does it.

    Args:
        folder: clone of the official repository.
        model: ours: sizes, weights and device are taken from it.

    Attributes:
        words: what is measured, for the note.

    Raises:
        ConfigError: the folder is no such clone, or it needs what is not installed.
    """

    def __init__(self, folder: Path, model: DualTower) -> None:
        device = next(model.parameters()).device
        dtype = next(model.parameters()).dtype if device.type == "cuda" else torch.float32
        classes, pipeline = _load(folder, device)
        parts = {"video": model.video_tower, "audio": model.audio_tower, "bridge": model.bridge}
        self._parts = {name: _filled(classes[name], part, device, dtype) for name, part in parts.items()}
        self._pipeline = types.SimpleNamespace(
            audio_dit=self._parts["audio"], dual_tower_bridge=self._parts["bridge"], _execution_device=device
        )
        for name in (STEP, "_pre_forward", "forward_dual_tower_dit"):
            if hasattr(pipeline, name):
                setattr(self._pipeline, name, types.MethodType(getattr(pipeline, name), self._pipeline))
        self._is_eager = False
        try:
            check_compiler(device)
        except ConfigError:
            self._is_eager = True
        compiled = "without compilation: no compiler here" if self._is_eager else "compiled where it compiles"
        self.words = f"the official code in {str(dtype).removeprefix('torch.')}, {compiled}"

    @torch.no_grad()
    def __call__(
        self, video: torch.Tensor, audio: torch.Tensor, *times_and_text: torch.Tensor, frame_rate: float
    ) -> Velocities:
        """Predict both velocities; arguments are those of `DualTower.forward`."""
        video_time, audio_time, text = times_and_text
        with self._compiling_as_possible():
            made = getattr(self._pipeline, STEP)(
                visual_dit=self._parts["video"],
                visual_latents=video,
                audio_latents=audio,
                context=text.to(self._parts["video"].dtype),
                timestep=video_time,
                audio_timestep=audio_time,
                video_fps=frame_rate,
            )
        return Velocities(video=made[0].float(), audio=made[1].float())

    def _compiling_as_possible(self) -> contextlib.AbstractContextManager[object]:
        return torch.compiler.set_stance("force_eager") if self._is_eager else contextlib.nullcontext()


def _filled(kind: type, ours: torch.nn.Module, device: torch.device, dtype: torch.dtype) -> Any:
    known = inspect.signature(kind.__init__).parameters
    made = kind(**{key: value for key, value in ours.config.items() if key in known})
    made.load_state_dict(ours.state_dict(), strict=True)
    return made.to(device, dtype).eval().requires_grad_(False)


def _load(folder: Path, device: torch.device) -> tuple[dict[str, type], type]:
    """Import the classes of the clone, and its pipeline, whose method walks through them."""
    missing = [
        name for name in (*(name for name, _ in CLASSES.values()), PIPELINE) if not _file_of(folder, name).is_file()
    ]
    if missing:
        raise ConfigError(
            f"official must be a clone of the official repository (OpenMOSS/MOVA), got {folder}, which has no "
            f"{_file_of(Path(), missing[0])}; give the folder that holds its {PACKAGE}/"
        )
    with _in_our_place(folder, hidden=FOR_GPUS if device.type == "cpu" else ()):
        try:
            classes = {part: getattr(importlib.import_module(name), kind) for part, (name, kind) in CLASSES.items()}
            pipeline = importlib.import_module(PIPELINE)
        except ModuleNotFoundError as error:
            raise ConfigError(f"official: {folder} needs {error.name}, which is not installed here") from error
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"official: {folder} is of a version that this script does not know: {error}") from error
    found = [kind for kind in vars(pipeline).values() if isinstance(kind, type) and hasattr(kind, STEP)]
    if not found:
        raise ConfigError(
            f"official: {PIPELINE} of {folder} has no class with {STEP}: a version unknown to this script"
        )
    return classes, found[0]


def _file_of(folder: Path, module: str) -> Path:
    return folder.joinpath(*module.split(".")).with_suffix(".py")


@contextlib.contextmanager
def _in_our_place(folder: Path, hidden: Sequence[str]) -> Iterator[None]:
    """Let the package's name mean that of the clone while this lasts."""
    ours = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == PACKAGE}
    for name in ours:
        del sys.modules[name]
    stubs, hiding = _Stubs(), _Hiding(hidden)
    sys.path.insert(0, str(folder.resolve()))
    sys.meta_path.insert(0, hiding)
    sys.meta_path.append(stubs)
    try:
        yield
    finally:
        sys.path.remove(str(folder.resolve()))
        sys.meta_path.remove(hiding)
        sys.meta_path.remove(stubs)
        for name in [name for name in sys.modules if name.partition(".")[0] in NOT_NEEDED]:
            if isinstance(sys.modules[name], _Empty):
                del sys.modules[name]
        # What has no namesake among ours stays: torch's compiler looks modules up by their names.
        sys.modules.update(ours)


class _Hiding(importlib.abc.MetaPathFinder):
    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def find_spec(self, fullname: str, *_: Any) -> None:
        if fullname.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"hidden: {fullname}", name=fullname)


class _Stubs(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds an empty package where one that is not needed is not installed."""

    def find_spec(self, fullname: str, *_: Any) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] not in NOT_NEEDED:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Empty(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


class _Empty(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Nothing()


class _Nothing:
    """Stands for whatever is taken from an empty package: called, decorated with, inherited from, read."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        is_decorated = len(arguments) == 1 and not named and callable(arguments[0])
        return arguments[0] if is_decorated else self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __mro_entries__(self, _: Any) -> tuple[()]:
        return ()
