"""What a server is told: one file of YAML, and options in its place. It holds no secret, only where secrets are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from pydantic import AfterValidator, Field, model_validator

from mova.errors import ConfigError, MovaError
from mova.files.json_file import shorten
from mova.generate.enhance.settings import EnhanceSettings, read_settings
from mova.recipe.base import Strict
from mova.recipe.load import Vocabulary, explain, fields_of
from mova.recipe.yaml_file import read_yaml

if TYPE_CHECKING:
    from mova.generate.request import LoraChoice
    from mova.pipeline.runtime import Runtime

DEFAULT_DATA: Final = Path("mova-serve")
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_HOOK: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_MB: Final = 2**20


def _check_host(host: str) -> str:
    if not _HOST_NAME.fullmatch(host):
        raise ValueError("must be a host name such as clips.example.org, without scheme, port and path")
    return host.lower()


def _check_hook(hook: str) -> str:
    if hook and not _HOOK.fullmatch(hook):
        raise ValueError("must read module:function, for example my_filter:check")
    return hook


HostName = Annotated[str, AfterValidator(_check_host)]
Hook = Annotated[str, AfterValidator(_check_hook)]


class WorkerSection(Strict):
    """How jobs are done."""

    lease_s: float = Field(default=30.0, ge=1, le=3600, description="Seconds after which a silent worker is lost")
    crashes: int = Field(default=2, ge=1, le=20, description="Lost workers after which a job is put aside")
    batch: int = Field(default=1, ge=1, le=64, description="Jobs with the same settings that are made in one call")
    poll_s: float = Field(default=1.0, ge=0.05, le=60, description="Seconds between looks at the queue, if not woken")


class RetentionSection(Strict):
    """For how long clips are kept."""

    keep_hours: float | None = Field(default=None, gt=0, le=1e6, description="Hours after the end; null keeps all")
    orphan_hours: float = Field(default=1.0, ge=0, le=1e6, description="Hours after which files of no job are removed")


class LimitsSection(Strict):
    """What one request may ask for, and what each owner of a key may have."""

    upload_bytes: int = Field(default=256 * _MB, ge=1024, le=2**36, description="Bytes of one request at most")
    incoming_bytes: int = Field(
        default=1024 * _MB, ge=1024, le=2**40, description="Bytes of all requests at a time; of one at least"
    )
    upload_s: float = Field(default=300.0, ge=1, le=86_400, description="Seconds for a whole request with files")
    least_bytes_per_s: int = Field(default=1024, ge=0, le=10**9, description="Slower uploads are ended; 0 for any")
    image_pixels: int = Field(default=40_000_000, ge=1024, le=110_000_000, description="Pixels of an image at most")
    video_pixels: int = Field(default=8_847_360, ge=1024, le=2**25, description="Pixels of a video's frame at most")
    decode_s: float = Field(default=30.0, ge=1, le=3600, description="Seconds for decoding an upload")
    decoders: int = Field(default=2, ge=1, le=64, description="Processes that decode uploads, started ahead")
    prompt_chars: int = Field(default=4000, ge=1, le=100_000, description="Characters of a prompt at most")
    clip_pixels: int = Field(default=1920 * 1088, ge=256, le=2**28, description="Pixels of a clip's frame at most")
    clip_frames: int = Field(default=481, ge=1, le=100_001, description="Frames of a clip at most")
    clip_steps: int = Field(default=200, ge=1, le=1000, description="Steps of the sampler at most")
    variants: int = Field(default=8, ge=1, le=16, description="Variants of one request at most")
    queued: int = Field(default=1000, ge=1, le=10**6, description="Open jobs at most")
    streams: int = Field(default=200, ge=1, le=10_000, description="Streams of events at a time at most")


class QuotaSection(Strict):
    """What an API key has that was made without limits of its own; null is without limit."""

    posts_per_minute: int | None = Field(default=60, ge=1, le=10**6, description="Requests that make jobs")
    queued: int | None = Field(default=100, ge=1, le=10**6, description="Open jobs")
    kept_bytes: int | None = Field(default=None, ge=1, description="Bytes of files that are kept")
    seconds_per_day: float | None = Field(default=None, gt=0, le=1e9, description="Seconds of video in 24 hours")


class FetchSection(Strict):
    """Whether the server fetches media from addresses in requests."""

    enabled: bool = Field(default=False, description="Whether it does; private addresses are refused all the same")
    limit_s: float = Field(default=20.0, gt=0, le=600, description="Seconds for one fetch, redirects included")
    redirects: int = Field(default=3, ge=0, le=10, description="Redirects that are followed")


class ServeSettings(Strict):
    """Everything that a server is told."""

    model: str = Field(default="mova-tiny", min_length=1, max_length=1000, description="Model: name or directory")
    loras: list[str] = Field(default_factory=list, max_length=16, description="LoRAs: FILE or FILE:SCALE")
    speed: str = Field(default="exact", description="Speed preset where a request names none")
    memory: str = Field(default="auto", description="Offload of the weights, as of `mova generate --memory`")
    quantize: str | None = Field(default=None, description="Quantisation, as of `mova generate --quantize`")
    attention: str | None = Field(default=None, description="Attention kernels, as of `mova generate --attention`")
    compile: bool | None = Field(default=None, description="Whether blocks are compiled; null decides by itself")
    kernels: str | None = Field(default=None, description="Linear layers on a CPU: auto or plain")
    precision: str | None = Field(default=None, description="Precision: auto, float32 or bfloat16")
    data: Path = Field(default=DEFAULT_DATA, description="Folder of jobs and clips")
    database: str = Field(default="", description="URL of a PostgreSQL database; SQLite in the data folder without")
    artifacts: str = Field(default="", description="URL of a storage for clips; the data folder without")
    host: str = Field(default="127.0.0.1", min_length=1, max_length=253, description="Address to listen at")
    port: int = Field(default=8500, ge=0, le=65_535, description="Port to listen at; 0 takes a free one")
    hosts: list[HostName] = Field(
        default_factory=list, max_length=100, description="Host names by which the server is reached"
    )
    keys_file: Path | None = Field(default=None, description="File of API keys; keys.json in the data folder without")
    public_without_keys: bool = Field(default=False, description="Listen beyond this machine without API keys")
    checkpoint_every: int = Field(default=5, ge=1, le=1000, description="Steps after which latents are saved")
    page: bool = Field(default=True, description="Whether the web page is served")
    worker: WorkerSection = Field(default_factory=WorkerSection, description="How jobs are done")
    retention: RetentionSection = Field(default_factory=RetentionSection, description="For how long clips are kept")
    limits: LimitsSection = Field(default_factory=LimitsSection, description="What one request may ask for")
    quota: QuotaSection = Field(default_factory=QuotaSection, description="What a key has without limits of its own")
    fetch: FetchSection = Field(default_factory=FetchSection, description="Fetching media from addresses")
    enhance: EnhanceSettings | None = Field(
        default=None, description="Who enhances prompts; as of `mova enhance` without"
    )
    content_filter: Hook = Field(default="", description="module:function that may refuse prompts and clips")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        from mova.settings.speed import speed_named

        try:
            speed_named(self.speed)
            if self.database:
                self.database_url()
        except MovaError as problem:
            raise ValueError(str(problem)) from None
        return self

    def database_url(self) -> str:
        """Return where jobs are kept, as SQLAlchemy writes it.

        Raises:
            ConfigError: a URL that is none of PostgreSQL, or holds a password.
        """
        from mova.database.database import check_url, sqlite_url

        return check_url(self.database, "the settings") if self.database else sqlite_url(self.data / "jobs.sqlite3")

    def artifacts_url(self) -> str:
        """Return where files of jobs are kept, as fsspec writes it."""
        return self.artifacts or str((self.data / "artifacts").absolute())

    def keys_path(self) -> Path:
        """Return the file of API keys."""
        return self.keys_file or self.data / "keys.json"

    def model_name(self) -> str:
        """Return the name under which the model is offered: that of a directory is its own."""
        folder = Path(self.model)
        return folder.resolve().name if folder.is_dir() else self.model

    def enhance_settings(self) -> EnhanceSettings:
        """Return who enhances prompts: as these settings say, else as the environment and the user's own file do.

        Raises:
            ConfigError: that file does not fit.
        """
        return read_settings() if self.enhance is None else self.enhance

    def lora_choices(self) -> list[LoraChoice]:
        """Return the LoRAs that the model is adapted with.

        Raises:
            MovaError: a file that does not exist or a scale that is none.
        """
        from mova.generate.request import LoraChoice
        from mova.weights.lora.source import parse_lora

        return [LoraChoice(*parse_lora(text)) for text in self.loras]

    def runtime(self) -> Runtime:
        """Return how the model is computed.

        Raises:
            ConfigError: a placement, method, back-end or precision that there is not.
        """
        from mova.kernels.linear_choice import default_kernels
        from mova.pipeline.runtime import Runtime

        return Runtime(
            memory=self.memory,
            quantization=self.quantize,
            attention=self.attention,
            compile_blocks=self.compile,
            kernels=self.kernels or default_kernels(),
            precision=self.precision,
        )

    def to_json(self) -> str:
        """Return the settings as JSON; `from_json` reads them again."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        return cls.model_validate_json(text)


def load_settings(path: Path | None = None, options: Mapping[str, object] | None = None) -> ServeSettings:
    """Read the settings of a server.

    Args:
        path: YAML file; None for none.
        options: values in place of those of the file, by key; None is not given. A key of a section is `section.key`.

    Raises:
        ConfigError: the file is missing or damaged, or keys and values do not fit; every fault is listed.
    """
    from pydantic import ValidationError

    raw: Any = {}
    if path is not None:
        try:
            raw = read_yaml(path)
        except FileNotFoundError:
            raise ConfigError(f"settings must be a file that exists, got {path}") from None
        raw = {} if raw is None else raw
    if not isinstance(raw, dict) or any(not isinstance(key, str) for key in raw):
        raise ConfigError(f"{path} must hold a mapping with keys such as model and port, got {shorten(raw)}")
    for name, value in (options or {}).items():
        if value is not None:
            _put(raw, name, value)
    try:
        # As JSON, where a path is a text: what the file says is of the same kinds as what it is written as.
        return ServeSettings.model_validate_json(json.dumps(raw, default=str))
    except ValidationError as error:
        lines = "\n".join(explain(error, Vocabulary(_fields_at)))
        raise ConfigError(f"{path or 'the settings'} do not fit:\n{lines}") from error


def _put(raw: dict[str, Any], name: str, value: object) -> None:
    section, _, key = name.rpartition(".")
    if not section:
        raw[name] = value
        return
    inside = raw.setdefault(section, {})
    if not isinstance(inside, dict):
        raise ConfigError(f"{section} must be a section with keys, got {shorten(inside)}")
    inside[key] = value


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    node: Any = ServeSettings
    for part in location[:-1]:
        node = fields_of(node).get(part) if isinstance(part, str) else node
    return sorted(fields_of(node))
