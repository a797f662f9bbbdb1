"""Who enhances prompts, and how: one YAML file, variables of the environment over it, and entries of known providers.

The file is `enhance.yaml` in the user's folder of settings, or the one that is named. Keys stand in neither: a section
names the environment variable that holds its key.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from pydantic import Field, ValidationError, model_validator

from mova.endpoints.settings import EndpointSection
from mova.errors import ConfigError
from mova.files.json_file import shorten
from mova.files.user_folders import user_config_folder
from mova.generate.enhance.presets import LOCAL, PRESETS
from mova.recipe.base import Strict
from mova.recipe.load import Vocabulary, explain, fields_of
from mova.recipe.yaml_file import read_yaml

FILE_NAME: Final = "enhance.yaml"
FILE_VARIABLE: Final = "MOVA_ENHANCE_SETTINGS"
# Variables of the environment, by the key that they set; those of a section reach all sections that there are.
VARIABLES: Final[Mapping[str, str]] = {
    "MOVA_ENHANCE_PROVIDER": "provider",
    "MOVA_ENHANCE_BASE_URL": "base_url",
    "MOVA_ENHANCE_API_KEY_ENV": "api_key_env",
    "MOVA_ENHANCE_MODEL": "text",
    "MOVA_ENHANCE_VISION_MODEL": "vision",
    "MOVA_ENHANCE_IMAGE_MODEL": "images",
}
ROLES: Final = ("text", "vision", "images")
_OF_SECTIONS: Final = ("base_url", "api_key_env")


class Orientation(StrEnum):
    """Shape of a first frame that is made.

    Attributes:
        LANDSCAPE: 16:9.
        PORTRAIT: 9:16.
        SQUARE: 1:1.
    """

    LANDSCAPE = "landscape"
    PORTRAIT = "portrait"
    SQUARE = "square"


class Language(StrEnum):
    """Language of an enhanced prompt; what is said or written in the clip keeps its own.

    Attributes:
        ENGLISH: that of the captions which the published models learned from.
        AS_GIVEN: that of the user's text.
    """

    ENGLISH = "english"
    AS_GIVEN = "as_given"


class TextSection(EndpointSection):
    """The model that writes prompts."""

    temperature: float | None = Field(
        default=0.3, ge=0, le=2, description="Temperature; null leaves it to the endpoint"
    )
    timeout_s: float = Field(default=60, gt=0, le=3600, description="Seconds for one request, from first byte to last")
    deadline_s: float = Field(default=150, gt=0, le=86_400, description="Seconds for one call, with attempts and waits")
    attempts: int = Field(
        default=3, ge=1, le=20, description="Requests of one call at most, where it pays to ask again"
    )
    max_tokens: int = Field(default=4096, ge=1, le=131_072, description="Tokens of a reply at most, thoughts included")


class VisionSection(TextSection):
    """The model that looks at the first frame."""

    short_side: int = Field(default=720, ge=64, le=2160, description="Pixels of the sent image's shorter side at most")


class ImagesSection(TextSection):
    """The endpoint that makes first frames."""

    timeout_s: float = Field(default=180, gt=0, le=3600, description="Seconds for one request, from first byte to last")
    deadline_s: float = Field(default=400, gt=0, le=86_400, description="Seconds for one call, with attempts and waits")


class LocalImagesSection(Strict):
    """A diffusers pipeline of this machine that makes first frames."""

    folder: Path = Field(description="Folder of the pipeline, with its model_index.json; nothing is downloaded")
    steps: int | None = Field(default=None, ge=1, le=1000, description="Sampling steps; null takes the pipeline's")
    guidance_scale: float | None = Field(
        default=None, ge=0, le=100, description="Classifier-free guidance scale; null takes the pipeline's"
    )
    seed: int = Field(default=0, ge=0, le=2**63 - 1, description="Seed of the image's noise")


class EnhanceSettings(Strict):
    """Who enhances prompts. Without `text`, prompts are enhanced by rule, without any endpoint."""

    provider: str = Field(default="", max_length=40, description=f"Entry that fills the sections: {', '.join(PRESETS)}")
    text: TextSection | None = Field(default=None, description="Model that writes prompts")
    vision: VisionSection | None = Field(default=None, description="Model that looks at first frames")
    images: ImagesSection | None = Field(default=None, description="Endpoint that makes first frames")
    local_images: LocalImagesSection | None = Field(default=None, description="Pipeline that makes first frames")
    first_frame: bool = Field(default=False, description="Whether to make a first frame where none is given")
    orientation: Orientation = Field(default=Orientation.LANDSCAPE, description="Shape of a first frame that is made")
    image_size: str = Field(
        default="", max_length=20, pattern=r"^$|^[1-9]\d{1,4}x[1-9]\d{1,4}$", description="WIDTHxHEIGHT of that frame"
    )
    language: Language = Field(default=Language.ENGLISH, description="Language of prompts: english or as_given")
    no_subtitles: bool = Field(default=False, description="Whether prompts say that the video has no subtitles")
    most_words: int = Field(default=250, ge=30, le=450, description="Words of a prompt at most")

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, values: Any) -> Any:
        """Fill what is not given with the entry of the provider."""
        if not isinstance(values, dict) or not values.get("provider"):
            return values
        name = values["provider"]
        if name not in PRESETS:
            raise ValueError(f"provider must be one of {', '.join(PRESETS)}, got {shorten(name)}")
        filled = dict(values)
        for role, entry in PRESETS[name].items():
            given = values.get(role, {} if "model" in entry else None)
            if isinstance(given, dict):
                filled[role] = {**entry, **given}
        return filled

    @model_validator(mode="after")
    def _fits(self) -> EnhanceSettings:
        if self.provider in LOCAL and self.text is None:
            raise ValueError(f"provider {self.provider} serves whatever it was started with: text.model must name it")
        if self.images is not None and self.local_images is not None:
            raise ValueError("images and local_images both make first frames: give one of them")
        if self.first_frame and self.images is None and self.local_images is None:
            raise ValueError("first_frame needs images or local_images, which say who makes it")
        return self

    @property
    def is_online(self) -> bool:
        """Whether prompts are written by a model behind an endpoint."""
        return self.text is not None


OFFLINE: Final = EnhanceSettings()


def read_settings(path: Path | None = None, *, environment: Mapping[str, str] | None = None) -> EnhanceSettings:
    """Read who enhances prompts.

    Args:
        path: of a YAML file; by default the one that the environment names, else the user's own where there is one.
        environment: variables; by default those of the process.

    Raises:
        ConfigError: a named file that is missing, or keys and values that do not fit; every fault is listed.
    """
    variables = os.environ if environment is None else environment
    named = path or (Path(variables[FILE_VARIABLE]) if variables.get(FILE_VARIABLE) else None)
    place = named or user_config_folder() / FILE_NAME
    try:
        values = read_yaml(place)
    except FileNotFoundError:
        if named is not None:
            raise ConfigError(f"settings of enhancement must be a YAML file that exists, got {named}") from None
        values = {}
    values = {} if values is None else values
    if not isinstance(values, dict) or any(not isinstance(key, str) for key in values):
        raise ConfigError(f"{place} must hold a mapping such as provider: gemini, got {type(values).__name__}")
    try:
        return EnhanceSettings.model_validate(_with_variables(values, variables))
    except ValidationError as error:
        raise ConfigError(f"{place} does not fit:\n" + "\n".join(explain(error, _VOCABULARY))) from None


def _with_variables(values: Mapping[str, object], variables: Mapping[str, str]) -> dict[str, object]:
    """Return settings with what the environment says in place of what the file says."""
    said = {key: variables[name] for name, key in VARIABLES.items() if variables.get(name)}
    merged: dict[str, object] = dict(values)
    if "provider" in said and said["provider"] != values.get("provider"):
        # Sections of the file belong to the provider that it names.
        merged = {key: value for key, value in values.items() if key not in ROLES} | {"provider": said["provider"]}
    for role in ROLES:
        if role in said:
            merged[role] = _section(merged.get(role)) | {"model": said[role]}
    shared = {key: said[key] for key in _OF_SECTIONS if key in said}
    roles = [role for role in ROLES if role in merged] or ["text"] * bool(shared)
    return merged | {role: _section(merged.get(role)) | shared for role in roles} if shared else merged


def _section(value: object) -> dict[str, object]:
    return dict(value) if isinstance(value, dict) else {}


def _fields_at(place: tuple[int | str, ...]) -> list[str]:
    node: object = EnhanceSettings
    for part in place[:-1]:
        node = fields_of(node).get(str(part))
    return list(fields_of(node))


_VOCABULARY: Final = Vocabulary(fields_at=_fields_at)
