"""Section `source` of a recipe: which footage there is."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, model_validator

from mova.recipe.base import Strict

ENDINGS: Final = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg", ".vob"),
    *(".flv", ".wmv", ".asf", ".3gp", ".ogv", ".mxf", ".nut"),
)
"""Endings of files that hold a video, in small letters."""


class SourceSection(Strict):
    """Where footage comes from: a folder or a list, of files here or in storage that fsspec reaches."""

    folder: str | None = Field(None, description="folder, or URL of one, that is looked through with what lies in it")
    list_file: str | None = Field(
        None,
        description="csv, jsonl or parquet file, or URL of one, with a column `uri` (paths relative to the list, or "
        "URLs), at will one named `licence`, and further columns that go with each clip",
    )
    endings: tuple[Annotated[str, Field(pattern=r"^\.[a-z0-9]{1,8}$")], ...] = Field(
        ENDINGS, min_length=1, description="endings of the files of a folder that are taken, in small letters"
    )
    licence: str = Field("", max_length=500, description="licence of what the list says nothing of")
    most_gib: float = Field(64.0, gt=0.0, le=64.0, description="largest file, in GiB; larger ones fail")
    keep_free_gib: float = Field(
        1.0, ge=0.0, le=1e6, description="disk that stays free, in GiB, when a file is copied from storage"
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> SourceSection:
        if (self.folder is None) == (self.list_file is None):
            raise ValueError("needs either `folder` or `list_file`")
        return self
