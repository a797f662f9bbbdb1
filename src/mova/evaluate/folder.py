"""The folder of an evaluation of clips: what was found, the figures, and what they were found with.

| file | what it holds |
| --- | --- |
| `scores.jsonl` | what each scorer found in each clip; an interrupted evaluation goes on from it |
| `reference/scores.jsonl` | the same of the clips of a reference |
| `run.json` | clips, scorers, settings, versions, machine, command, date |
| `report.json` | the table and all clips; another evaluation is compared with it |
| `report.md`, `table.csv`, `clips.csv` | the same for readers and spreadsheets |
| `report.html`, `shown/` | the same as a page, with clips that play |
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from mova.errors import ConfigError
from mova.evaluate.measure.runner import Measured
from mova.evaluate.measure.store import ScoreStore
from mova.evaluate.page.page import evaluation_page
from mova.evaluate.page.shown import choose_shown, prepare_shown
from mova.evaluate.results.paired import PairedRow
from mova.evaluate.results.rows import Results
from mova.evaluate.results.tables import clips_csv, paired_markdown, table_csv, table_markdown
from mova.files.json_file import read_object
from mova.files.lock import lock_folder
from mova.files.replacing import replacing


class EvaluationFolder:
    """An evaluation on disk, held by this process.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = ScoreStore(root)

    def open_reference(self) -> ScoreStore:
        """Return the store of what is found in a reference, apart from that of the clips, whose names may be the same.

        Raises:
            ConfigError: the folder cannot be written.
        """
        folder = self.root / "reference"
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise ConfigError(f"report must be a folder that can be written, got {self.root}: {error}") from error
        return ScoreStore(folder)

    def write(
        self,
        results: Results,
        run: Mapping[str, object],
        paired: Sequence[PairedRow] = (),
        measured: Sequence[Measured] = (),
    ) -> None:
        """Write the figures; each file is there whole or as it was.

        Args:
            results: of the evaluation.
            run: how they were found, as JSON values.
            paired: comparison with another evaluation.
            measured: clips with what was found in them, of which the page shows some; none shows none.

        Raises:
            ConfigError: the folder cannot be written.
        """
        document = {
            "run": dict(run),
            "rows": [row.to_json() for row in results.rows],
            "paired": [row.to_json() for row in paired],
            "clips": [clip.to_json() for clip in results.clips],
        }
        try:
            shown = prepare_shown(self.root, measured, choose_shown(results)) if measured else {}
        except OSError as error:
            raise ConfigError(f"report must be a folder that can be written, got {self.root}: {error}") from error
        compared = f"\n## Compared\n\n{paired_markdown(paired)}" if paired else ""
        texts = {
            "run.json": _json(dict(run)),
            "table.csv": table_csv(results),
            "clips.csv": clips_csv(results),
            "report.md": f"# Evaluation\n\n{table_markdown(results)}{compared}\n## Made with\n\n{_facts(run)}",
            "report.html": evaluation_page(results, run, shown, paired),
            "report.json": _json(document),
        }
        for name, text in texts.items():
            try:
                with replacing(self.root / name) as partial:
                    partial.write_text(text, encoding="utf-8")
            except OSError as error:
                raise ConfigError(f"report must be a folder that can be written, got {self.root}: {error}") from error


def check_rules(root: Path, rules: str) -> None:
    """Return where a folder is new, or holds an evaluation by the same rules: their figures must not be mixed.

    Args:
        root: the folder.
        rules: "mova" with the quirks of the reference evaluation, "" without.

    Raises:
        ConfigError: it holds one by other rules, or what it was found with cannot be read.
    """
    path = root / "run.json"
    if not path.is_file():
        return
    theirs = read_object(path, error=ConfigError).text("parity", "")
    if theirs != rules:
        told = {"": "without --parity", "mova": "with --parity mova"}
        raise ConfigError(
            f"a report folder must hold an evaluation by the same rules, got {root} made {told.get(theirs, theirs)} "
            f"for one {told[rules]}; nearest is a folder of its own"
        )


@contextmanager
def open_evaluation(root: Path) -> Iterator[EvaluationFolder]:
    """Hold the folder of an evaluation; it is made where it is missing.

    Args:
        root: the folder.

    Raises:
        ConfigError: it cannot be made or written, or another process uses it.
    """
    with lock_folder(root, "report folder"):
        folder = EvaluationFolder(root)
        try:
            yield folder
        finally:
            folder.store.close()


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _facts(run: Mapping[str, object]) -> str:
    lines = []
    for key, value in run.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        lines.append(f"- {key.replace('_', ' ')}: `{text.replace('`', chr(39))}`")
    return "\n".join(lines) + "\n"
