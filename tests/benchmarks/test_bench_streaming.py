"""The benchmark of streamed blocks at tiny size: every placement gives the bits of resident weights."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import bench_streaming


def test_each_placement_is_measured_and_computes_the_same(tmp_path):
    rows = list(bench_streaming.time_forwards("tiny", torch.device("cpu"), num_layers=2, folder=tmp_path, rounds=1))
    assert [row.placement for row in rows] == list(bench_streaming.PLACEMENTS)
    assert all(row.same and row.layers == 2 and row.forward_s > 0 for row in rows)
    by_name = {row.placement: row for row in rows}
    assert by_name["stream"].host_gb > 0
    assert by_name["disk"].host_gb == by_name["resident"].host_gb == 0
    assert not list(tmp_path.iterdir()), "files are gone again"


def test_a_host_without_room_is_said_so_before_weights_move(monkeypatch):
    monkeypatch.setattr(bench_streaming, "free_host_bytes", lambda: 1000)
    rows = bench_streaming.time_forwards(
        "tiny", torch.device("cpu"), placements=["resident", "stream"], num_layers=1, rounds=1
    )
    assert next(rows).placement == "resident"
    with pytest.raises(RuntimeError, match="GB of host memory are needed, 0 GB are free; take fewer layers"):
        next(rows)
