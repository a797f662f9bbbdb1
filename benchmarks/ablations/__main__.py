"""What each idea of the paper contributes on the toy world: variants that differ in one setting, trained and measured.

    .venv/bin/python benchmarks/ablations --jobs 2 --report docs/results/toyworld.md

Every variant begins with the same towers, which have been trained apart, and a new bridge, and takes the same number of
steps. What is finished is not done again, and a training that was interrupted goes on, so the command can be given
again at any time. Without `--report` the tables go to stdout.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from report import write_report
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from variants import SAMPLINGS, VARIANTS, Sampling, Variant

from mova.toyworld.scenes.registry import BASIC_KINDS

RECIPES = Path(__file__).parent


class Runs:
    """The folder of all variants and the commands that fill it.

    Args:
        root: folder of everything that is trained and measured.
        overrides: `key=value` texts for every training.
        steps: number of steps of the towers alone, and of each variant.
        clips: held-out clips per measurement.
        threads: number of threads of each process.
    """

    def __init__(self, root: Path, overrides: Sequence[str], steps: tuple[int, int], clips: int, threads: int) -> None:
        self.root, self.overrides, self.clips = root, [f"--set={text}" for text in overrides], clips
        self.tower_steps, self.steps = steps
        self.environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
        root.mkdir(parents=True, exist_ok=True)

    def train_towers(self) -> None:
        """Train the two towers apart; all variants begin with them."""
        self._train("ablation_towers", self.root / "towers", self.tower_steps, ())

    def train(self, variant: Variant) -> None:
        """Train one variant and publish it."""
        folder = self.root / variant.name
        starts = [f"start.{name}={self.root}/towers/model/{name}" for name in ("video_dit", "video_dit_2", "audio_dit")]
        if variant.bridge_first:
            self._train("ablation_bridge_first", folder, self.steps // 2, starts)
            starts = [f"start.{name}=model" for name in ("video_dit", "video_dit_2", "audio_dit", "dual_tower_bridge")]
        steps = self.steps - self.steps // 2 if variant.bridge_first else self.steps
        self._train("ablation_joint", folder, steps, (*starts, *variant.overrides))
        self._command(
            [
                "train",
                str(RECIPES / "ablation_publish.yaml"),
                f"--set=model={folder}/model",
                f"--set=destination={folder}/published",
                *self._resume(folder, "ablation_publish"),
            ],
            folder / "publish.log",
        )

    def measure(self, sampling: Sampling) -> None:
        """Generate and score the clips of one row."""
        folder = self.root / sampling.variant
        destination = folder / f"toyworld_{sampling.name}"
        if (destination / "report.md").exists():
            return
        self._command(
            [
                "evaluate",
                "toyworld",
                "--model",
                f"{folder}/published",
                "--clips",
                str(self.clips),
                "--seed",
                "7",
                *(f"--kind={kind}" for kind in BASIC_KINDS),
                "--report",
                str(destination),
                *sampling.options,
            ],
            folder / f"toyworld_{sampling.name}.log",
        )

    def _train(self, recipe: str, folder: Path, steps: int, overrides: Sequence[str]) -> None:
        settings = [f"--set={text}" for text in (f"model={folder}/model", f"run.max_steps={steps}", *overrides)]
        self._command(
            [
                "train",
                str(RECIPES / f"{recipe}.yaml"),
                "--cache",
                f"{self.root}/latents",
                *settings,
                *self.overrides,
                *self._resume(folder, recipe),
            ],
            folder.with_suffix(".log"),
        )

    def _resume(self, folder: Path, stage: str) -> list[str]:
        return ["--resume", str(folder)] if (folder / stage).exists() else []

    def _command(self, arguments: list[str], log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as stream:
            done = subprocess.run(
                [sys.executable, "-m", "mova.cli", *arguments],
                env=self.environment,
                stdout=stream,
                stderr=stream,
                check=False,
            )
        if done.returncode:
            raise RuntimeError(f"mova {' '.join(arguments)} ended with {done.returncode}; see {log}")


def work(runs: Runs, variants: Sequence[Variant], samplings: Sequence[Sampling], jobs: int) -> None:
    """Train and measure everything, several variants at a time."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    with Progress(TextColumn("{task.description}"), *columns, console=Console(stderr=True)) as bars:
        bar = bars.add_task("towers", total=1 + len(variants) + len(samplings))
        runs.train_towers()
        bars.update(bar, advance=1, description="variants")

        def train_and_measure(variant: Variant) -> None:
            runs.train(variant)
            bars.advance(bar)
            for sampling in samplings:
                if sampling.variant == variant.name:
                    runs.measure(sampling)
                    bars.advance(bar)

        with ThreadPoolExecutor(jobs) as pool:
            calls = [pool.submit(train_and_measure, variant) for variant in variants]
            try:
                for call in as_completed(calls):
                    call.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def main() -> None:
    """Read the options, do what is not done yet, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path("runs/ablations"), help="folder of all runs")
    parser.add_argument("--clips", type=int, default=48, help="held-out clips of each row")
    parser.add_argument("--steps", type=int, default=700, help="of each variant")
    parser.add_argument("--tower-steps", type=int, default=700, help="of the towers alone, before")
    parser.add_argument("--jobs", type=int, default=1, help="variants at a time")
    parser.add_argument("--threads", type=int, default=1, help="of each of them")
    parser.add_argument("--only", nargs="+", choices=[variant.name for variant in VARIANTS], help="these variants")
    parser.add_argument("--report", type=Path, help="document whose tables are renewed")
    parser.add_argument("--set", action="append", default=[], dest="overrides", help="key=value for every training")
    chosen = parser.parse_args()
    variants = [variant for variant in VARIANTS if chosen.only is None or variant.name in chosen.only]
    samplings = [one for one in SAMPLINGS if one.variant in {variant.name for variant in variants}]
    steps = chosen.tower_steps, chosen.steps
    runs = Runs(chosen.root, chosen.overrides, steps, chosen.clips, chosen.threads)
    former = chosen.report.read_text(encoding="utf-8") if chosen.report else ""
    work(runs, variants, samplings, chosen.jobs)
    command = f"benchmarks/ablations {' '.join(sys.argv[1:])}".strip()
    text = write_report(former, chosen.root, samplings, command=command)
    if chosen.report:
        chosen.report.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
