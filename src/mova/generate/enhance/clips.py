"""Enhanced prompts of clips: their first frames become files beside the clips, so that they can be made again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mova.errors import MuxError
from mova.files.unfinished import unfinished
from mova.generate.enhance.enhanced import Enhanced
from mova.generate.enhance.run import enhance
from mova.generate.enhance.settings import EnhanceSettings
from mova.generate.request import ClipOptions
from mova.media.frames import read_image
from mova.weights.locate import read_defaults


@dataclass(frozen=True)
class Enhancer:
    """Enhances what is asked of clips.

    Attributes:
        settings: who enhances.
        model: name of the model.
        folder: its directory.
        on_note: told in words what becomes of each prompt.
    """

    settings: EnhanceSettings
    model: str
    folder: Path
    on_note: Callable[[str], None]

    def enhance(self, options: ClipOptions, frame_path: Path) -> ClipOptions:
        """Return options with an enhanced prompt, and with the first frame that was made for it.

        Args:
            options: with a prompt.
            frame_path: PNG file to write a first frame to; one of that name is replaced.

        Raises:
            MovaError: see `mova.generate.enhance.run.enhance`; an image that cannot be read, or a file that cannot be
                written.
        """
        defaults = read_defaults(self.folder, self.model)
        size = (options.settings.height or defaults.height, options.settings.width or defaults.width)
        files = options.files
        given = files.image or files.video
        image = None if files.image is None else read_image(files.image)
        # A given video has a first frame already.
        who = self.settings if given is None else self.settings.model_copy(update={"first_frame": False})
        enhanced = enhance(options.prompt or "", image, who, model=self.folder, size=size)
        for line in lines_of(enhanced):
            self.on_note(line)
        if enhanced.first_frame is not None and given is None:
            write_frame(enhanced.first_frame, frame_path)
            files = replace(files, image=frame_path)
            self.on_note(f"first frame: {frame_path}")
        settings = options.settings.over(enhanced.settings)
        return replace(options, prompt=enhanced.text, files=files, settings=settings, enhancement=enhanced.record())


def lines_of(enhanced: Enhanced) -> list[str]:
    """Return what users are told of an enhancement, the prompt last."""
    flag = ["NOT ENHANCED: the prompt is the text as it was written"] if enhanced.is_fallback else []
    changes = [f"changed: {change}" for change in enhanced.changes]
    problems = [f"problem: {problem}" for problem in enhanced.problems]
    return [*flag, *changes, *problems, f"prompt: {enhanced.text}"]


def write_frame(frame: NDArray[np.uint8], path: Path) -> None:
    """Write an image as PNG, whole or not at all.

    Args:
        frame: (H, W, 3) uint8.
        path: of the file; one of that name is replaced.

    Raises:
        MuxError: it cannot be written.
    """
    from PIL import Image

    try:
        with unfinished(path.with_name(f".{path.name}.part")) as file:
            Image.fromarray(frame).save(file, "PNG")
            file.replace(path)
    except (OSError, ValueError) as error:
        raise MuxError(f"the first frame must be written to a file, got {path}: {error}") from error
