"""First frames by a diffusers pipeline of this machine: loaded from a folder, never from the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from mova.errors import ConfigError
from mova.generate.enhance.settings import LocalImagesSection
from mova.names import INDEX_FILE

if TYPE_CHECKING:
    from PIL import Image

_MULTIPLE: Final = 16


def check_local(section: LocalImagesSection) -> None:
    """Check that there is a pipeline, before anything heavy is imported.

    Raises:
        ConfigError: the folder holds none.
    """
    if not (section.folder.expanduser() / INDEX_FILE).is_file():
        raise ConfigError(
            f"local_images.folder must hold a diffusers pipeline with its {INDEX_FILE}, got {section.folder}; nothing "
            "is downloaded: fetch the model first"
        )


def draw_locally(prompt: str, size: tuple[int, int], section: LocalImagesSection) -> NDArray[np.uint8]:
    """Return an image (H, W, 3) of a prompt, and let go of the pipeline again.

    Args:
        prompt: what is to be seen.
        size: (width, height) in pixels; made smaller to multiples of 16.
        section: the pipeline.

    Raises:
        ConfigError: the folder holds no pipeline that makes images of texts.
    """
    check_local(section)
    import torch
    from diffusers import AutoPipelineForText2Image, DiffusionPipeline

    folder = section.folder.expanduser()
    loader: Any = AutoPipelineForText2Image
    try:
        try:
            pipeline = loader.from_pretrained(folder, local_files_only=True)
        except ValueError:  # not one of the kinds that it knows by name
            loader = DiffusionPipeline
            pipeline = loader.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RuntimeError, ImportError) as error:
        raise ConfigError(f"local_images.folder must hold a diffusers pipeline, got {folder}: {error}") from error
    if torch.cuda.is_available():
        pipeline.enable_model_cpu_offload()
    pipeline.set_progress_bar_config(disable=True)
    width, height = (max(_MULTIPLE, side // _MULTIPLE * _MULTIPLE) for side in size)
    options = {"num_inference_steps": section.steps, "guidance_scale": section.guidance_scale}
    given = {name: value for name, value in options.items() if value is not None}
    generator = torch.Generator("cpu").manual_seed(section.seed)
    try:
        made = pipeline(prompt, width=width, height=height, generator=generator, **given).images[0]
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise ConfigError(f"the pipeline in {folder} must make images of a text, got: {error}") from error
    return _pixels(made)


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image.convert("RGB"))
