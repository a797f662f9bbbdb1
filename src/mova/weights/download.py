"""A model from the hub: the files that it needs, resumed where they stopped, checked against the hub's checksums.

Into a folder, or into the cache of huggingface_hub, whose layout is documented: `blobs/CHECKSUM`, and links to them
under `snapshots/COMMIT`. What is not complete lies in `.download` until it is: neither is a model before its last file.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from mova.errors import CheckpointError, ConfigError
from mova.files.inside import is_plain_name
from mova.files.json_file import shorten, shorten_text
from mova.files.lock import lock_folder
from mova.names import INDEX_FILE, NETWORKS
from mova.weights.files import DIFFUSERS_STEM, TRANSFORMERS_STEM
from mova.weights.known_files import COMPONENT_FILES, FOLDER_FILES, MODEL_FILES
from mova.weights.locate import shipped_model

logger = logging.getLogger(__name__)

SCRATCH: Final = ".download"
_COMMIT = "commit"
_CHUNK = 2**22
_CHECKSUM = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_MOST_FILES = 10_000


@dataclass(frozen=True)
class RemoteFile:
    """A file of a model on the hub.

    Attributes:
        name: in the folder of the model.
        size_bytes: bytes of its content.
        checksum: SHA-256 of the content (64 digits), or of small files git's SHA-1 of it (40 digits).
    """

    name: str
    size_bytes: int
    checksum: str


@dataclass(frozen=True)
class RemoteModel:
    """A model on the hub at one commit.

    Attributes:
        hub_id: OWNER/NAME.
        revision: revision that was asked for; None is the main branch.
        commit: commit that it stands for.
        files: files that the model needs, its index last.
    """

    hub_id: str
    revision: str | None
    commit: str
    files: tuple[RemoteFile, ...]

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(file.size_bytes for file in self.files)


def needed_files(names: list[str]) -> list[str]:
    """Return which files of a repository make a model: no variants, no images, no code."""
    known = {*MODEL_FILES, *(f"{part}/{name}" for part, files in FOLDER_FILES.items() for name in files)}
    known |= {f"{part}/{name}" for part in NETWORKS for name in ("config.json", *COMPONENT_FILES)}
    present = set(names)
    for part in NETWORKS:
        for stem in (TRANSFORMERS_STEM, DIFFUSERS_STEM):
            index = f"{part}/{stem}.safetensors.index.json"
            pattern = f"{part}/{stem}-*-of-*.safetensors" if index in present else f"{part}/{stem}.safetensors"
            known |= {index, *(name for name in present if fnmatchcase(name, pattern))}
    found = [name for name in names if name in known and all(map(is_plain_name, name.split("/")))]
    return sorted(set(found), key=lambda name: (name == INDEX_FILE, name))


def look_up(hub_id: str, revision: str | None = None) -> RemoteModel:
    """Ask the hub what a model consists of; nothing is downloaded.

    Args:
        hub_id: OWNER/NAME.
        revision: branch, tag or commit; None is the main branch.

    Raises:
        CheckpointError: the hub cannot be reached, has no such model, or says what cannot be true of one.
    """
    from huggingface_hub import HfApi

    if shipped_model(hub_id) is not None:
        raise CheckpointError(f"model must be a hub id OWNER/NAME, got {hub_id}, which comes with the package")
    try:
        info = HfApi().model_info(hub_id, revision=revision, files_metadata=True)
        listed = {sibling.rfilename: sibling for sibling in info.siblings or ()}
        commit = str(info.sha)
    except Exception as error:  # of the network, of the server, of what the server says
        raise CheckpointError(f"{shorten_text(hub_id)} cannot be looked up: {_reason(error)}") from error
    names = needed_files(list(listed)[:_MOST_FILES])
    if INDEX_FILE not in names:
        raise CheckpointError(f"{hub_id} must be a model with {INDEX_FILE}, got a repository without it")
    if not is_plain_name(commit):
        raise CheckpointError(f"the hub must name the commit of {hub_id}, got {shorten(commit)}")
    files = []
    for name in names:
        lfs = listed[name].lfs
        size, checksum = (listed[name].size, listed[name].blob_id) if lfs is None else (lfs.size, lfs.sha256)
        if not (isinstance(size, int) and size >= 0 and isinstance(checksum, str) and _CHECKSUM.fullmatch(checksum)):
            raise CheckpointError(
                f"the hub must state size and checksum of {hub_id}: {name}, got {shorten(size)}, {shorten(checksum)}"
            )
        files.append(RemoteFile(name, size, checksum))
    return RemoteModel(hub_id, revision, commit, tuple(files))


def download(model: RemoteModel, target: Path | None = None) -> Path:
    """Download what is missing of a model and check all of it.

    Args:
        model: what `look_up` returned.
        target: folder; None is the hub's cache, where the model's hub id finds it.

    Returns:
        The folder of the model.

    Raises:
        CheckpointError: a transfer that stopped (the next call goes on where it did), or content that is not what the
            hub says it is: that is removed.
        ConfigError: too little room on the disk, a folder with other files of these names, or another process that
            downloads into it.
    """
    root = _cached_repository(model.hub_id) if target is None else target
    place = _in_cache(root) if target is None else _in_folder(root)
    with lock_folder(root / SCRATCH, "download folder"):
        missing = [file for file in model.files if not _is_whole(place(file), file)]
        if target is not None:
            _check_is_ours(root, model, [file for file in missing if place(file).exists()])
        _check_room(root, model, missing)
        for number, file in enumerate(missing, 1):
            logger.info("%d of %d: %s, %s", number, len(missing), file.name, readable(file.size_bytes))
            part = root / SCRATCH / f"{file.checksum}.part"
            _fetch(model, file, part)
            place(file).parent.mkdir(parents=True, exist_ok=True)
            part.replace(place(file))
        folder = root if target is not None else _link(root, model)
        (root / SCRATCH / _COMMIT).unlink(missing_ok=True)
    shutil.rmtree(root / SCRATCH, ignore_errors=True)
    return folder


def readable(size_bytes: int) -> str:
    """Return a size with a unit."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= size:
            return f"{size_bytes / size:.1f} {unit}"
    return f"{size_bytes} bytes"


def _fetch(model: RemoteModel, file: RemoteFile, part: Path) -> None:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    done = part.stat().st_size if part.exists() else 0
    if done > file.size_bytes:
        part.unlink()
        done = 0
    if done:
        logger.info("goes on after %s", readable(done))
    try:
        url = hf_hub_url(model.hub_id, file.name, revision=model.commit)
        location = get_hf_file_metadata(url).location
        headers = build_hf_headers()
        if location.split("/")[:3] != url.split("/")[:3]:
            headers.pop("authorization", None)  # for the hub alone, not for where it keeps its files
        with part.open("ab") as stream:
            http_get(
                location,
                stream,
                resume_size=done,
                headers=headers,
                expected_size=file.size_bytes,
                displayed_filename=file.name,
            )
    except Exception as error:  # of the network, of the server, of the disk
        kept = part.stat().st_size if part.exists() else 0
        raise CheckpointError(
            f"the download of {file.name} stopped at {kept:,} of {file.size_bytes:,} bytes; the same command goes on "
            f"there: {_reason(error)}"
        ) from error
    if not _is_whole(part, file):
        part.unlink()
        raise CheckpointError(
            f"{file.name} of {model.hub_id} must have the checksum {file.checksum} that the hub states, and has "
            "another: it was removed; the same command downloads it again"
        )


def _is_whole(path: Path, file: RemoteFile) -> bool:
    """Say whether a file is there with the right size and content."""
    if not path.is_file() or path.stat().st_size != file.size_bytes:
        return False
    is_git = len(file.checksum) == 40
    digest = hashlib.sha1(usedforsecurity=False) if is_git else hashlib.sha256()
    if is_git:
        digest.update(b"blob %d\0" % file.size_bytes)
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest() == file.checksum


def _check_is_ours(root: Path, model: RemoteModel, different: list[RemoteFile]) -> None:
    """Refuse to replace files that this download did not bring, and note which one it is."""
    note = root / SCRATCH / _COMMIT
    begun = note.read_text(encoding="utf-8") if note.is_file() else None
    if different and begun != model.commit:
        shutil.rmtree(root / SCRATCH, ignore_errors=True)
        raise ConfigError(
            f"{root} must be empty or hold files of {model.hub_id} at {model.commit}, got another {different[0].name}; "
            "choose another folder"
        )
    note.write_text(model.commit, encoding="utf-8")


def _check_room(root: Path, model: RemoteModel, missing: list[RemoteFile]) -> None:
    parts = sum(path.stat().st_size for path in (root / SCRATCH).glob("*.part"))
    needed, free = max(0, sum(file.size_bytes for file in missing) - parts), shutil.disk_usage(root).free
    logger.info(
        "%s at %s: %d files, %s; %s to download, %s are free in %s",
        model.hub_id,
        model.commit[:12],
        len(model.files),
        readable(model.size_bytes),
        readable(needed),
        readable(free),
        root,
    )
    if needed > free:
        raise ConfigError(f"{root} must have {readable(needed)} of room for {model.hub_id}, got {readable(free)}")


def _in_folder(root: Path) -> Callable[[RemoteFile], Path]:
    return lambda file: root / file.name


def _in_cache(root: Path) -> Callable[[RemoteFile], Path]:
    return lambda file: root / "blobs" / file.checksum


def _cached_repository(hub_id: str) -> Path:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=hub_id, repo_type="model")


def _link(root: Path, model: RemoteModel) -> Path:
    """Make the snapshot of a commit in the hub's cache, its index last, and note what the revision stands for."""
    folder = root / "snapshots" / model.commit
    for file in model.files:
        link, blob = folder / file.name, root / "blobs" / file.checksum
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        try:
            link.symlink_to(os.path.relpath(blob, link.parent))
        except OSError:  # no links on this system: the hub's client copies there too
            shutil.copyfile(blob, link)
    revision = model.revision or "main"
    if is_plain_name(revision) and revision != model.commit:
        (root / "refs").mkdir(exist_ok=True)
        (root / "refs" / revision).write_text(model.commit, encoding="utf-8")
    return folder


def _reason(error: BaseException) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return shorten_text(lines[0] if lines else type(error).__name__)
