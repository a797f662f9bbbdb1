"""What runs units is exchangeable: a run needs no more than the protocol."""

from mova.curate.executors.base import Executor
from mova.curate.executors.local import LocalExecutor
from mova.curate.runner import run_all
from mova.curate.tables import iter_clips
from shared_curation import Here, toy_run, write_sources


def test_another_executor_gives_the_same_rows(tmp_path):
    footage = write_sources(tmp_path / "in", 3)
    executors: list[Executor] = [Here(), LocalExecutor(2)]
    tables = [
        run_all(toy_run(footage, tmp_path / str(number), executor=executor))
        for number, executor in enumerate(executors)
    ]
    assert list(iter_clips(tables[0])) == list(iter_clips(tables[1]))
