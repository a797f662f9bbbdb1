"""Reads mutated media files one after another, within bounds of memory and processor time; see `test_media_files.py`.

Usage: media_worker.py READER FOLDER SEED FIRST END. Says "begin INDEX NAME" before each file and "read", "refused" or
"failed" after it; a file that takes more than `HANG_S` seconds of processor time ends the process.
"""

import resource
import signal
import sys
import tempfile
import traceback
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np

from mova.curate.cut.examine import Wanted, inspect_source, survey_source
from mova.errors import MovaError, ReadError
from mova.media.frames import read_image
from mova.media.media_file import check_whole
from mova.media.probe import probe, probe_audio
from mova.media.provenance import read_xmp
from mova.media.read import read_audio, read_frames, read_span
from mova.media.transcode.clips import ClipWindow, SourceView, cut_clips
from mova.media.transcode.encode import ClipFormat
from mova.media.write import read_metadata

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "shared"))
from peak_memory import peak_bytes

HANG_S = 20
ADDRESS_SPACE = 4 << 30
LONGEST_TEXT = 2_000
FOLDERS = {"footage": "video"}
STRIKING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutate(data: bytes, random: np.random.Generator) -> bytes:
    """Change a file in one to five places: bits, fields, ranges, its end."""
    content = bytearray(data)
    for _ in range(random.choice([1, 1, 1, 2, 5])):
        if len(content) < 16:
            break
        at = place(content, random)
        length = int(random.integers(1, max(2, len(content) // 8)))
        match random.integers(8):
            case 0:
                for _ in range(random.integers(1, 32)):
                    content[place(content, random)] ^= 1 << int(random.integers(8))
            case 1 | 2:
                size = int(random.choice([1, 2, 4, 8]))
                value = int(random.choice(STRIKING)) % (1 << 8 * size)
                content[at : at + size] = value.to_bytes(size, str(random.choice(["big", "little"])))
            case 3:
                del content[max(16, len(content) - length) :]
            case 4:
                del content[at : at + length]
            case 5:
                content[at:at] = content[at : at + length]
            case 6:
                content[at : at + length] = bytes(len(content[at : at + length]))
            case 7:
                content[at : at + 8] = random.bytes(8)
    return bytes(content)


def place(content: bytearray, random: np.random.Generator) -> int:
    """Choose a byte: half of the time near the beginning or the end, where headers and indices stand."""
    size = len(content)
    near = min(size, 1024)
    match random.integers(4):
        case 0:
            return int(random.integers(near))
        case 1:
            return int(size - 1 - random.integers(near))
        case _:
            return int(random.integers(size))


def video(path: Path) -> None:
    readers = (
        lambda: probe(path),
        lambda: check_whole(path),
        lambda: read_metadata(path),
        lambda: read_xmp(path),
        lambda: read_span(path),
        lambda: read_frames(path, frame_rate=24.0, num_frames=9, size=(32, 48), start_s=0.1),
        lambda: read_span(path, frame_rate=30.0, num_frames=20, sample_rate=16_000, start_s=1.1, pad=True),
    )
    try_all(readers)


def audio(path: Path) -> None:
    readers = (
        lambda: probe_audio(path),
        lambda: read_audio(path, sample_rate=16_000, length=8_000),
        lambda: read_audio(path, sample_rate=16_000, length=8_000, start_s=1.4),
    )
    try_all(readers)


def footage(path: Path) -> None:
    wanted = Wanted(0.2, needs_audio=False, shots="none")
    found = inspect_source(path, wanted)
    surveyed = survey_source(path, wanted, found)
    form = ClipFormat(5, Fraction(24), (32, 48), preset="ultrafast")
    windows = [ClipWindow(Fraction(number, 2), path.with_name(f"{number}.clip.mp4")) for number in range(3)]
    places = [piece.path for piece in surveyed.pieces] or [path]
    cuts = [cut for place in places[:4] for cut in cut_clips(place, windows, form, SourceView(is_silent=True))]
    if found.reason or any(cut.error for cut in cuts):
        raise ReadError(found.reason or "a clip was refused")


def image(path: Path) -> None:
    read_image(path)


def try_all(readers) -> None:
    """Call each; raise the first refusal at the end, anything else at once."""
    refusals = []
    for read in readers:
        try:
            read()
        except MovaError as error:
            refusals.append(error)
    if refusals:
        raise refusals[0]


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def main(reader: str, folder: str, seed: str, first: str, end: str) -> None:
    warnings.simplefilter("error")
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    originals = sorted(path for path in (Path(folder) / FOLDERS.get(reader, reader)).iterdir())
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for index in range(int(first), int(end)):
            original = originals[index % len(originals)]
            say("begin", index, original.name)
            path = Path(scratch) / original.name
            path.write_bytes(mutate(original.read_bytes(), np.random.default_rng([int(seed), index])))
            signal.setitimer(signal.ITIMER_PROF, HANG_S)
            try:
                {"video": video, "audio": audio, "image": image, "footage": footage}[reader](path)
                say("read")
            except MovaError as error:
                say("refused" if len(str(error)) < LONGEST_TEXT else f"failed text of {len(str(error))} characters")
            except BaseException:
                say("failed", traceback.format_exc().strip().replace("\n", " | "))
    say("peak", peak_bytes() // 2**20)


if __name__ == "__main__":
    main(*sys.argv[1:])
