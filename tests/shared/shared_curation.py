"""Small stages of curation that make rows and files in milliseconds, and fail in the ways that real ones can."""

import hashlib
import os
import secrets
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mova.curate.executors.local import LocalExecutor
from mova.curate.records import Caption, ClipRecord, SourceRecord, State, WindowKind, clip_id, source_id
from mova.curate.runner import Run
from mova.curate.score.embeddings import to_half
from mova.curate.stage import StageNeeds, UnitRows
from mova.curate.units import Patience, perform
from mova.errors import DataError, ReadError
from mova.scorers.base import Absence, Score

NEEDS = StageNeeds()
MEASURES = ("loudness", "silence_share", "sharpness")


def share(*parts):
    """A number from 0 to 1 that follows from texts alone."""
    return int(hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:8], 16) / 0xFFFFFFFF


def list_folder(folder):
    """The sources of a folder of text files, as a real list gives them."""
    for path in sorted(folder.iterdir()):
        facts = path.stat()
        yield SourceRecord("", str(path), "", facts.st_size, licence="CC0", version=str(facts.st_mtime_ns))


def write_sources(folder, count, clips=4):
    """Text files of which each says how many clips it has."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"source{number:03d}.txt").write_text(f"{clips + number % 3} source{number}")
    return folder


@dataclass(frozen=True)
class ToyCut:
    """Stage 1 over text files: "N words" has N clips; "corrupt", "poison" and "gone" are what they say."""

    pause_s: float = 0.0
    kills: str = ""
    name: str = "cut"
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ("clip_id", "path")
    needs: StageNeeds = NEEDS
    digest: str = "toy cut 1"

    def run(self, unit, folder):
        content = Path(unit.source.uri).read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        source = replace(unit.source, sha256=sha256, source_id=source_id(sha256), duration_s=100.0)
        word, _, rest = content.decode().partition(" ")
        fail(word, Path(self.kills) if self.kills else None)
        if word == "unwanted":
            return UnitRows(replace(source, state=State.REJECTED, reasons=("no_audio: there is none",)), ())
        clips = []
        for number in range(int(word)):
            time.sleep(self.pause_s)
            name = clip_id(sha256, str(number), 193, "toy")
            path = f"clips/{name[:2]}/{name}.mp4"
            save(folder, path, f"{rest} {number}")
            clips.append(
                ClipRecord(
                    name,
                    source.source_id,
                    source.uri,
                    list(WindowKind)[number % 4],
                    number * 8.5,
                    193,
                    licence=source.licence,
                    columns={"film": rest},
                    cuts_s=(1.0,),
                    speech=((0.5, 1.5),),
                    path=path,
                )
            )
        if clips and share(sha256) < 0.3:
            (folder / clips[-1].path).unlink()
            clips[-1] = replace(clips[-1], state=State.FAILED, reasons=("verify: 192 frames",), path="")
        return UnitRows(source, tuple(clips))


def save(folder, path, text):
    partial = folder / "tmp" / secrets.token_hex(8)
    partial.write_text(text)
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    partial.replace(folder / path)


def fail(word, kills):
    """Fail as a word says, if it says so."""
    if word == "corrupt":
        raise ReadError("corrupt_media: no frame can be decoded")
    if word == "gone":
        raise ConnectionError("the bucket does not answer")
    if word == "strange":
        raise RuntimeError("nobody thought of this")
    if word == "memory":
        raise MemoryError
    if word == "poison" or (word == "killing" and kills is not None):
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "once" and not (kills / "was").exists():
        (kills / "was").touch()
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class ToyScore:
    """Stage 2: numbers that follow from the id of a clip."""

    pause_s: float = 0.0
    name: str = "score"
    reads: tuple[str, ...] = ("path",)
    writes: tuple[str, ...] = ("scores", "tags", "spans", "fingerprints", "texts")
    needs: StageNeeds = NEEDS
    digest: str = "toy score 1"

    def run(self, unit, folder):
        time.sleep(self.pause_s)
        return UnitRows(unit.source, tuple(self.scored(clip, folder) for clip in unit.clips))

    def scored(self, clip, folder):
        assert (folder / clip.path).is_file()
        scores = {name: Score.of(round(share(clip.clip_id, name), 3)) for name in MEASURES}
        if share(clip.clip_id, "speechless") < 0.2:
            scores["sharpness"] = Score.absent(Absence.NOT_APPLICABLE, "no edge")
        scores["dover_technical"] = Score.absent(Absence.WEIGHTS, "dover.pth")
        return replace(
            clip,
            scores=scores,
            tags=("speech",) if share(clip.clip_id, "tag") < 0.7 else ("music",),
            spans={"speech": ((0.0, 1.0), (2.0, 3.5))},
            fingerprints={"image_hash": f"{int(6 * share(clip.clip_id, 'image')) * 0x1111111111:016x}"},
        )


@dataclass(frozen=True)
class ToyEmbeddings(ToyScore):
    """The same with an embedding of each clip that has a sharpness, in one of six directions and a little aside."""

    digest: str = "toy embeddings 1"

    def scored(self, clip, folder):
        clip = super().scored(clip, folder)
        measured = clip.scores["sharpness"]
        embeddings = {} if measured.value is None else {"yamnet": to_half(toy_vector(clip.clip_id))}
        return replace(clip, scores={**clip.scores, "tag_confidence": measured}, embeddings=embeddings)


def toy_vector(name):
    """A vector that follows from the id of a clip."""
    return 3 * np.eye(6, 8)[int(6 * share(name, "direction"))] + 0.3 * share(name, "aside")


@dataclass(frozen=True)
class ToyCaption:
    """Stage 3: a sentence for each clip; each that is asked for leaves a line in a file."""

    name: str = "caption"
    reads: tuple[str, ...] = ("clip_id", "tags")
    writes: tuple[str, ...] = ("captions",)
    needs: StageNeeds = NEEDS
    digest: str = "toy caption 1"

    def run(self, unit, folder):
        if not unit.clips:
            raise DataError("a unit of captions has clips")
        with (folder / "asked.txt").open("a") as file:
            file.writelines(f"{clip.clip_id}\n" for clip in unit.clips)
        return UnitRows(unit.source, tuple(self.told(clip) for clip in unit.clips))

    def told(self, clip):
        if share(clip.clip_id, "caption") < 0.1:
            return replace(clip, state=State.FAILED, reasons=("timeout: no reply",))
        captions = {part: Caption(f"{part} of {clip.clip_id}", model="toy") for part in ("visual", "merged")}
        return replace(clip, captions=captions, marks=("offline",))


def toy_run(sources, output, **changes):
    """A run of toy stages over a folder of text files, in one process unless told otherwise."""
    settings = {
        "root": output,
        "recipe": {"source": {"path": str(sources)}, "cut": {"frames": 193}, "verdicts": {}},
        "sources": lambda: list_folder(sources),
        "cut": ToyCut(),
        "score": ToyScore(),
        "caption": ToyCaption(),
        "gates": (),
        "executor": LocalExecutor(1, Patience(3, 0.0)),
    }
    return Run(**{**settings, **changes})


class Here:
    """An executor: does all units in this process."""

    def run(self, stage, tasks, root, on_done):
        for task in tasks:
            on_done(perform(stage, task, root, Patience(1, 0.0)))

    def close(self):
        pass
